//! One after another: whoever enters waits until the one before has left.
//!
//! Belongs to one worker, so it is a flag and a queue. Cancel safe: a future that is dropped while
//! it waits leaves the queue, one that is dropped inside lets the next one in.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A door that lets one in at a time.
#[derive(Default)]
pub(crate) struct Turns {
    is_taken: Cell<bool>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// Held by whoever is in; leaving is dropping it.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Enters when nobody is in.
    pub(crate) async fn enter(&self) -> Turn<'_> {
        poll_fn(|context| {
            if self.is_taken.replace(true) {
                self.waiting.borrow_mut().push_back(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Turn(self))
        })
        .await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        // All of them look again: one may be gone, and who comes first gets in.
        self.0.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Context;

    #[test]
    fn one_is_in_at_a_time_and_a_dropped_waiter_blocks_nobody() {
        let turns = Turns::default();
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(turns.enter()).poll(&mut context) else { panic!("free") };
        assert!(pin!(turns.enter()).poll(&mut context).is_pending());
        let mut third = pin!(turns.enter());
        assert!(third.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(third.poll(&mut context).is_ready());
    }
}
