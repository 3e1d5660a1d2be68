//! Turns for long work on a worker's thread.
//!
//! What computes for long, compressing above all, asks for a turn before each piece of its work and
//! says how much it took. Between two looks of the event loop at its sockets all exchanges of the
//! worker together take [`Pace::TURN_BYTES`] and what the last piece is beyond that, however many
//! connections and streams they come by; who finds no turn waits in line. Whoever runs the event
//! loop keeps the pace: [`Pace::used`], a look at the sockets, [`Pace::renew`], and again. Where
//! nobody does, each piece of work yields by itself.
//!
//! INVARIANT: turns are given in the order in which they were asked for, and one that is given to
//! an exchange which is gone holds up the others for one look at the sockets at most.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The turns of one worker.
#[derive(Default)]
pub struct Pace {
    /// Bytes worked on since the last look at the sockets.
    used_bytes: Cell<usize>,
    line: RefCell<VecDeque<Rc<Seat>>>,
    is_kept: Cell<bool>,
    keeper: RefCell<Option<Waker>>,
}

/// A place in the line.
struct Seat {
    is_called: Cell<bool>,
    waker: RefCell<Waker>,
}

/// What one piece of work after another takes its turns with.
#[derive(Default)]
pub struct Turn(Option<Rc<Seat>>);

impl Pace {
    /// Bytes of input that a worker's exchanges work on in one turn of its event loop: with the
    /// slowest coding some milliseconds.
    pub const TURN_BYTES: usize = 128 << 10;

    /// Whether a piece may be begun without a wait.
    pub fn is_open(&self) -> bool {
        !self.is_kept.get() || (self.has_room() && self.line.borrow().is_empty())
    }

    /// Ready when the next piece may be begun.
    pub fn poll_turn(&self, turn: &mut Turn, context: &mut Context<'_>) -> Poll<()> {
        if let Some(seat) = &turn.0 {
            if !seat.is_called.get() {
                seat.waker.borrow_mut().clone_from(context.waker());
                return Poll::Pending;
            }
            turn.0 = None;
            return Poll::Ready(());
        }
        if !self.is_kept.get() {
            if self.has_room() {
                return Poll::Ready(());
            }
            self.used_bytes.set(0);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.is_open() {
            return Poll::Ready(());
        }
        let waker = RefCell::new(context.waker().clone());
        let seat = Rc::new(Seat { is_called: Cell::new(false), waker });
        self.line.borrow_mut().push_back(Rc::clone(&seat));
        turn.0 = Some(seat);
        Poll::Pending
    }

    /// Tells that so many bytes were worked on.
    pub fn took(&self, bytes: usize) {
        self.used_bytes.set(self.used_bytes.get() + bytes);
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
        if self.has_room() {
            self.call();
        }
    }

    /// Completes when turns were taken, or are waited for.
    pub async fn used(&self) {
        self.is_kept.set(true);
        poll_fn(|context| {
            if self.used_bytes.get() > 0 || !self.line.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.keeper.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The event loop has looked at its sockets.
    pub fn renew(&self) {
        self.used_bytes.set(0);
        self.call();
    }

    fn has_room(&self) -> bool {
        self.used_bytes.get() < Self::TURN_BYTES
    }

    /// Calls the first in line who is still there.
    fn call(&self) {
        let mut line = self.line.borrow_mut();
        while let Some(seat) = line.pop_front() {
            if Rc::strong_count(&seat) > 1 {
                seat.is_called.set(true);
                seat.waker.borrow().wake_by_ref();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const PIECE: usize = Pace::TURN_BYTES / 2;

    /// Asks for a turn, and works on a piece if there is one.
    fn works(pace: &Pace, turn: &mut Turn) -> bool {
        let is_ready = pace.poll_turn(turn, &mut Context::from_waker(Waker::noop())).is_ready();
        if is_ready {
            pace.took(PIECE);
        }
        is_ready
    }

    fn is_used(pace: &Pace) -> bool {
        pin!(pace.used()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn between_two_looks_all_together_take_one_turn_each_in_order() {
        let pace = Pace::default();
        assert!(!is_used(&pace));
        let mut turns: Vec<_> = (0..20).map(|_| Turn::default()).collect();
        let mut worked = Vec::new();
        let mut looks = 0;
        while worked.len() < 60 {
            looks += 1;
            let mut taken = 0;
            // However often each is asked.
            for _ in 0..3 {
                for (index, turn) in turns.iter_mut().enumerate() {
                    if works(&pace, turn) {
                        worked.push(index);
                        taken += 1;
                    }
                }
            }
            assert!((1..=3).contains(&taken), "{taken} pieces in look {looks}");
            assert!(is_used(&pace));
            pace.renew();
        }
        let counts = turns
            .iter()
            .enumerate()
            .map(|(index, _)| worked.iter().take(60).filter(|worked| **worked == index).count());
        assert!(counts.clone().all(|count| (2..=4).contains(&count)), "{worked:?}");
    }

    #[test]
    fn who_leaves_the_line_holds_up_nobody() {
        let pace = Pace::default();
        assert!(!is_used(&pace));
        let (mut first, mut second, mut third) = Default::default();
        assert!(works(&pace, &mut first) && works(&pace, &mut first) && !works(&pace, &mut first));
        assert!(!works(&pace, &mut second) && !works(&pace, &mut third) && !pace.is_open());
        drop(first);
        pace.renew();
        // Called, and gone before its turn.
        drop(second);
        pace.renew();
        assert!(works(&pace, &mut third));
        pace.renew();
        assert!(pace.is_open() && !is_used(&pace));
    }

    #[test]
    fn where_nobody_keeps_the_pace_each_yields_by_itself() {
        let pace = Pace::default();
        let mut turn = Turn::default();
        let worked: Vec<_> = (0..6).map(|_| works(&pace, &mut turn)).collect();
        assert_eq!(worked, [true, true, false, true, true, false]);
        assert!(pace.is_open());
    }
}
