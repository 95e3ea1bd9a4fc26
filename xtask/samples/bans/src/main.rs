//! Breaks every ban of the style guide once; clippy must report each.

use actix::{Actor, Addr, Context, Handler, Message, Recipient};

struct Ping;

impl Message for Ping {
    type Result = ();
}

struct Sink;

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Ping> for Sink {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

fn past_the_mailbox_bound(address: &Addr<Sink>, recipient: &Recipient<Ping>) {
    address.do_send(Ping);
    let _ = address.try_send(Ping);
    recipient.do_send(Ping);
    let _ = recipient.try_send(Ping);
}

fn machine_time() {
    let _ = std::time::SystemTime::now();
    let _ = std::time::Instant::now();
}

fn queues_without_bound() {
    let _ = crossbeam_channel::unbounded::<u8>();
    let _ = tokio::sync::mpsc::unbounded_channel::<u8>();
    let _ = std::sync::mpsc::channel::<u8>();
}

fn main() {
    machine_time();
    queues_without_bound();
    let _ = past_the_mailbox_bound;
}
