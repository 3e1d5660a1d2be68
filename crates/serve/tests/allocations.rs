//! Heap allocations of a worker per answer: none, from a connection's second request on.
//!
//! A program of its own, because its allocator counts for each thread. Handlers note their worker's
//! count when they run: what lies between two notes is all that the worker did for one request.
//! The bench prints the number of `allocations_per_fixed_answer`.

#![allow(dead_code, reason = "the parts that this program shares with `it` offer more")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

use stead_core::{Exchange, Handler, Reply, name};

use crate::handlers::text;
use crate::harness::{Harness, Recipe};

#[path = "it/client.rs"]
mod client;
#[path = "it/handlers.rs"]
mod handlers;
#[path = "it/harness.rs"]
mod harness;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Allocations of this thread. Needs no memory of its own and no destructor.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free and allocate after its own values are gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc`, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Answers 13 bytes and notes its worker's allocations so far.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u64>>>);

impl Handler for Notes {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let allocations = ALLOCATIONS.with(Cell::get);
        self.0.lock().expect("not poisoned").push(allocations);
        let mut answer = text(exchange, b"Hello, world!");
        answer.fields.set(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
        Reply::Ready(answer)
    }
}

impl Notes {
    /// Room for `requests`, so that noting allocates nothing itself.
    fn begin(&self, requests: usize) {
        let mut notes = self.0.lock().expect("not poisoned");
        notes.clear();
        notes.reserve(requests + 1);
    }

    /// Allocations between the second batch of `deep` requests and the last.
    fn since_the_second(&self, deep: usize) -> u64 {
        let notes = self.0.lock().expect("not poisoned");
        notes[notes.len() - 1] - notes[2 * deep - 1]
    }
}

const REQUESTS: usize = 500;

/// The fewest allocations of a few tries: on a busy machine a connection may park in between.
fn measure(harness: &Harness, notes: &Notes, deep: usize) -> u64 {
    let request = "GET /users/seven?x=y HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\
        User-Agent: wrk\r\nX-Unknown: 1\r\nCookie: a=b\r\n\r\n";
    let tries = (0..5).map(|_| {
        notes.begin(REQUESTS);
        let mut client = harness.connect();
        for _ in 0..REQUESTS / deep {
            client.send(request.repeat(deep));
            for _ in 0..deep {
                assert_eq!(client.answer().text(), "Hello, world!");
            }
        }
        notes.since_the_second(deep)
    });
    tries.min().expect("five tries")
}

#[test]
fn allocations_per_fixed_answer() {
    let notes = Notes::default();
    let harness = Recipe::default().route("/users/{id}", notes.clone()).start();
    let allocations = measure(&harness, &notes, 1);
    let pipelined = measure(&harness, &notes, 10);
    println!("allocations per fixed answer: {}", allocations as f64 / (REQUESTS - 2) as f64);
    assert_eq!((allocations, pipelined), (0, 0), "in {REQUESTS} requests, alone and pipelined");
}

#[test]
fn the_allocator_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    std::hint::black_box(Box::new(7));
    assert_eq!(ALLOCATIONS.with(Cell::get), before + 1);
}
