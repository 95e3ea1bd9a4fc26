//! The order path allocates nothing for an order: from the frame's bytes to the signed request, and until its end.

use std::hint::black_box;
use steadfast::bench::{OneThread, allocations_per_order};

fn count(run: &mut dyn FnMut()) -> u64 {
    allocation_counter::measure(run).count_total
}

#[test]
fn an_order_from_frame_to_end_allocates_nothing() {
    let allocations = allocations_per_order(count).expect("the order path takes the orders");
    assert!(allocations <= 0.0, "{allocations} allocations for each order");
}

#[test]
fn each_counted_order_was_signed_and_placed() {
    let mut one = OneThread::new().expect("the order path comes up");
    let mut placed = 0;
    for _ in 0..100 {
        one.pace();
        one.order().expect("its frame is readable");
        placed += one.settle().expect("no order is refused");
    }
    assert_eq!(placed, 100);
}

#[test]
fn the_counter_sees_an_allocation_in_the_same_loop() {
    let mut one = OneThread::new().expect("the order path comes up");
    one.warm_up(OneThread::WARM_UP).expect("no order is refused");
    let allocations = count(&mut || {
        for _ in 0..10 {
            one.warm_up(1).expect("no order is refused");
            drop(black_box(Box::new(7_u64)));
        }
    });
    assert_eq!(allocations, 10);
}
