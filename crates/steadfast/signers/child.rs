//! The signer process: opens the vault and the audit log, shuts itself in, signs and records until the daemon is gone.
//!
//! It is this very program, started again by the daemon with one end of a socket as descriptor 0 and nothing else:
//! no environment, no arguments from outside, no other descriptor.

use super::{Boot, cannot};
use crate::audit_trail::Trail;
use crate::cli::Global;
use crate::report::{Exit, Trouble, causes};
use crate::{commands, unlock};
use clock::SystemClock;
use domain::Clock;
use order_signer::process::{
    Failure, Greeting, OrderPage, Packets, ReadySigner, serve_cancels, serve_custody, serve_orders,
};
use order_signer::{Custody, CustodyDesk, DeskPlace};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::Arc;

/// The one argument of the process. Nothing that a person would type.
pub const ARGUMENT: &str = "--as-signer-process";
/// Largest boot order, in bytes.
pub(super) const BOOT_MAX: usize = 64 * 1024;
/// Room for secrets that is mapped before the sandbox closes: some hundred keys with all that is made of them.
const SECRET_ROOM: usize = 512 * 1024;

/// Stack of each further thread: signers are made on it by value, and wiping what they left takes room too.
const STACK_BYTES: usize = 16 << 20;

/// Runs the signer process when this process is one. To be called before anything else.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    Some(run())
}

fn run() -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Err(error) = sandbox::hide() {
        return complain(&error.to_string());
    }
    // A panic says where, never what: its words could hold what it stumbled over.
    panic_place::say_places_only("steadfast: the signer process");
    let Ok(inherited) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return complain("there is no descriptor 0");
    };
    let orders = Packets::over(inherited);
    let mut frame = vec![0_u8; BOOT_MAX];
    let Some((len, custody, cancels, page)) = inherited_ends(&orders, &mut frame) else {
        return complain("this is the signer process, which `steadfast run` starts by itself");
    };
    let boot = frame.get(..len).and_then(|bytes| serde_json::from_slice::<Boot>(bytes).ok());
    let Some(boot) = boot else { return complain("the daemon's order cannot be read") };
    let tell = |greeting: &Greeting| serde_json::to_vec(greeting).map(|bytes| orders.send(&bytes).is_ok());
    match serve(boot, Ends { orders: &orders, page, custody, cancels }, &tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let failure = Failure {
                exit: trouble.exit as u8,
                what: trouble.what.clone(),
                why: trouble.why.clone(),
                fix: trouble.fix.clone(),
            };
            let _ = tell(&Greeting::Failed(failure));
            trouble.code()
        }
    }
}

/// The signer's ends of what the daemon sent over descriptor 0: the two further sockets, and the page for orders, if
/// there is one. Its descriptor is closed: from here on it is memory.
fn inherited_ends(orders: &Packets, frame: &mut [u8]) -> Option<(usize, Packets, Packets, Option<OrderPage>)> {
    let (len, descriptors) = orders.receive_with(frame).ok()?;
    let mut descriptors = descriptors.into_iter();
    let (custody, cancels) = (Packets::over(descriptors.next()?), Packets::over(descriptors.next()?));
    let page = match descriptors.next() {
        // One that the daemon could take away again is none.
        Some(descriptor) => Some(OrderPage::open(descriptor).ok()?),
        None => None,
    };
    descriptors.next().is_none().then_some((len, custody, cancels, page))
}

/// The signer's ends.
struct Ends<'a> {
    orders: &'a Packets,
    page: Option<OrderPage>,
    custody: Packets,
    cancels: Packets,
}

fn complain(what: &str) -> ExitCode {
    eprintln!("steadfast: {what}");
    ExitCode::from(Exit::Usage as u8)
}

fn serve(boot: Boot, ends: Ends<'_>, tell: &dyn Fn(&Greeting) -> serde_json::Result<bool>) -> Result<(), Trouble> {
    only_ours()?;
    let Ends { orders, page, custody: custody_socket, cancels: cancel_socket } = ends;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The first reading opens a file of the system and measures; the walls allow neither.
    let _ = (clock.mono(), clock.unix());
    let failed = unlock::failures(&boot.custody);
    let mut custody = open(&boot)?;
    // From here on it ends with the daemon and by nothing else: Ctrl-C in a terminal and a service manager tell both at
    // once, and the daemon still has orders to cancel.
    deaf().map_err(|error| cannot(&error))?;
    custody.settle_policies(clock.unix()).map_err(|error| commands::keys::custody_trouble(&error))?;
    let trail = Trail::open(&mut custody, &boot.custody, Arc::clone(&clock))?;
    trail.unlocked(failed)?;
    let identity = commands::keys::epoch(&boot.custody)?;
    let boot_id = super::boot_id();
    // Landlock binds the thread that asks and those it starts: before the records, which begin a thread.
    let files = sandbox::close_files(&boot.custody).map_err(|error| cannot(&error))?;
    let records = super::records(&boot.custody, &custody, identity, &*clock, &boot_id, boot.strict)?;
    let places = boot.places.iter().map(|place| DeskPlace {
        seat: place.seat,
        alias: place.alias,
        codec: venue_bitget::codecs(environment(&place.environment)).signing,
        login_confirmed: place.login_confirmed,
    });
    let mut desk = CustodyDesk::open(custody, places.collect(), Some(records.clone()), identity, clock)
        .map_err(|error| commands::keys::custody_trouble(&error))?;
    desk.sealing_key().map_err(|error| commands::keys::custody_trouble(&error))?;
    let (seats, candidates, cancels) = (desk.seats.clone(), desk.candidates.clone(), desk.cancels.clone());
    let memory = secrets::reserve(SECRET_ROOM)
        .map_err(|error| Trouble::new(Exit::Key, "no memory for secrets").why(causes(&error)))?;
    secrets::close_arena();

    // Seccomp binds all threads, and none can start behind it.
    desk.audit = Some(trail.log());
    thread("custody", move || serve_custody(&custody_socket, desk))?;
    thread("cancels", move || serve_cancels(&cancel_socket, &cancels))?;
    let hidden = sandbox::is_hidden();
    let calls = sandbox::close_calls().map_err(|error| cannot(&error))?;
    let ready = ReadySigner {
        tag: identity.tag.as_str().to_owned(),
        epoch: identity.epoch.get(),
        memory: memory.as_str().to_owned(),
        landlock: files.as_str().to_owned(),
        seccomp: calls,
        hidden,
        pid: std::process::id(),
    };
    if tell(&Greeting::Ready(ready)).unwrap_or(false) {
        serve_orders(orders, page, &seats, &candidates, boot.spin);
    }
    // The daemon is gone: budgets that were not used are given back, and the records end in order.
    for place in &boot.places {
        seats.with(place.seat, |signer| *signer = None);
    }
    let _ = records.close();
    trail.seal();
    Ok(())
}

/// Lets signals that ask to end wait for ever, here and in every thread to come.
fn deaf() -> nix::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect::<SigSet>().thread_block()
}

/// Starts a thread and waits until it runs: what the system does to begin one is not allowed behind the walls.
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Trouble> {
    let (begun, begins) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        let _ = begun.send(());
        work();
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|error| cannot(&error))?;
    begins.recv().map_err(|error| cannot(&error))
}

fn environment(word: &str) -> venue_bitget::Environment {
    match word {
        "demo" => venue_bitget::Environment::Demo,
        _ => venue_bitget::Environment::Production,
    }
}

fn open(boot: &Boot) -> Result<Custody, Trouble> {
    let global = Global { no_input: !boot.may_ask, ..Global::default() };
    unlock::open_from(&global, &boot.custody, &boot.unlock, boot.lock_after)
}

/// A descriptor that should not be here could be used by whoever takes this process over.
fn only_ours() -> Result<(), Trouble> {
    let listed = std::fs::read_dir("/proc/self/fd").map_err(|error| cannot(&error))?;
    let numbers = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // 0 to 2, the copy of 0, the two sockets that came over it, and the listing itself.
    let count = numbers.count();
    if count > 7 {
        return Err(Trouble::new(Exit::Failure, "the signer process was given descriptors that are not for it")
            .why(format!("{count} are open, 7 are expected"))
            .fix("report this: a part of the daemon opens files that are inherited"));
    }
    Ok(())
}
