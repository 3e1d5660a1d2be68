//! A panicked worker starts again with its listeners. The panic is injected through the function
//! that gives memory back, which a worker calls outside of any connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client::Client;
use crate::handlers::Fixed;
use crate::harness::{Kitchen, Recipe, eventually};
use crate::panics::quiet;

static ARMED: AtomicBool = AtomicBool::new(false);
/// One at a time: the panic is for whoever comes first.
static ALONE: Mutex<()> = Mutex::new(());

fn collect() {
    assert!(!ARMED.swap(false, Ordering::SeqCst), "the script says so");
}

#[test]
fn a_panicked_worker_starts_again_with_its_listeners() {
    panic_and_start_again(Kitchen::default());
}

/// In the same table of descriptors, on the event loop that other threads know.
#[test]
fn so_does_one_with_a_descriptor_table_of_its_own() {
    panic_and_start_again(Kitchen { private_descriptors: true, ..Kitchen::default() });
}

fn panic_and_start_again(kitchen: Kitchen) {
    quiet();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let recipe = Recipe::default()
        .limits(|limits| (limits.connections, limits.connections_per_ip) = (Some(4), Some(4)))
        .route("/", Fixed("hello"));
    let harness = Kitchen { collect, ..kitchen }.start(vec![recipe]);
    let mut clients: Vec<_> = (0..4).map(|_| harness.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    harness.expect_parked(4);
    // Busy for a moment, then quiet for long enough.
    ARMED.store(true, Ordering::SeqCst);
    assert_eq!(clients[0].get("/").text(), "hello");
    assert!(eventually(|| harness.count(|counters| &counters.panics) == 1));
    for client in &mut clients {
        client.expect_closed();
    }
    // Nothing of what was lost is counted on.
    harness.expect_open(0);
    harness.expect_parked(0);
    let mut again: Vec<_> = (0..4).map(|_| Client::connect(harness.address)).collect();
    for client in &mut again {
        assert_eq!(client.get("/").text(), "hello");
    }
    harness.expect_open(4);
    let (sender, receiver) = channel();
    assert!(harness.messenger().send(0, Box::new(move |_| sender.send(()).expect("waits"))));
    receiver.recv_timeout(Duration::from_secs(10)).expect("other threads still reach it");
}
