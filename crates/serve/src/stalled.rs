//! Streams of HTTP/2 whose peer takes nothing of what is ready for it, and what peers began without
//! a request: heads and TLS handshakes that are not whole.
//!
//! They hold memory and wait for nobody but their peer, so they give way first where memory runs
//! short: woken then, each looks how long it has stood still ([`STALLED_LEAST`]) and ends
//! (SECURITY.md 28, 36). A worker keeps the wakers of those that wait, and nothing else of them.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use stead_base::Tick;

use crate::state::State;

/// Who stood still for less goes on, however short memory is.
pub(crate) const STALLED_LEAST: Duration = Duration::from_secs(2);

impl State {
    /// Whether memory is short and a peer took too long for what it had all of `limit` for.
    pub(crate) fn gives_up_begun(&self, limit: Duration, ends: Tick) -> bool {
        let left = ends - self.worker.now();
        self.lacks_memory() && limit.saturating_sub(left) >= STALLED_LEAST
    }
}

/// Those of one worker.
#[derive(Default)]
pub(crate) struct Stalled(RefCell<Places>);

#[derive(Default)]
struct Places {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Stalled {
    /// Has all of them look how long they have waited; whether there was one.
    pub(crate) fn wake(&self) -> bool {
        let places = self.0.borrow();
        places.wakers.iter().flatten().for_each(Waker::wake_by_ref);
        places.wakers.len() > places.free.len()
    }
}

/// Says that a stream, or what was begun, is stalled, until this is dropped.
pub(crate) struct Stall {
    state: Rc<State>,
    index: usize,
}

impl Stall {
    /// Says so, from the first time on; `waker` is of whoever waits now.
    pub(crate) fn note(stall: &mut Option<Self>, state: &Rc<State>, waker: &Waker) {
        match stall {
            Some(stall) => stall.renew(waker),
            None => *stall = Some(Self::new(state, waker)),
        }
    }

    fn new(state: &Rc<State>, waker: &Waker) -> Self {
        let mut places = state.relief.stalled.0.borrow_mut();
        let waker = Some(waker.clone());
        let index = places.free.pop().unwrap_or(places.wakers.len());
        match places.wakers.get_mut(index) {
            Some(place) => *place = waker,
            None => places.wakers.push(waker),
        }
        Self { state: Rc::clone(state), index }
    }

    /// Another task may wait for it now.
    fn renew(&self, waker: &Waker) {
        let mut places = self.state.relief.stalled.0.borrow_mut();
        if let Some(Some(known)) = places.wakers.get_mut(self.index)
            && !known.will_wake(waker)
        {
            known.clone_from(waker);
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let mut places = self.state.relief.stalled.0.borrow_mut();
        if let Some(place) = places.wakers.get_mut(self.index) {
            *place = None;
        }
        places.free.push(self.index);
        if places.free.len() == places.wakers.len() {
            *places = Places::default();
        }
    }
}
