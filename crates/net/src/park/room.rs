//! Connections that rest make room for others, the longest at rest first.
//!
//! The deadline lists are in order of arming, so that whoever rests longest stands at the head of
//! one of them: closing costs what is closed, however many rest.

use std::time::Duration;

use stead_base::Tick;
use stead_sys::clock;

use super::{Closed, FOR_EVER, Inner, Left, Park, Wake};
use crate::record::{NONE, Token, Wait};

/// Who has sent nothing for this long goes before those who have.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// Clients send with, or just behind, the last packet of the handshake.
const FRESH_FOR: Duration = Duration::from_millis(50);

/// Where room is made, in order.
#[derive(Clone, Copy)]
enum Turn {
    /// Tasks without work: they hold most.
    IdleTask,
    /// Peers that connected and have said nothing since.
    Silent,
    /// Between two requests.
    Idle,
    /// Peers whose first byte should have come with the connection, or just behind.
    Wordless,
    /// Peers whose first byte may be on its way.
    Fresh,
}

impl Park {
    /// Ends the connection that can be missed best, if one rests: an idle task, which is woken and
    /// ends soon; then a peer that has sent nothing at all for a second; then the one that rests
    /// longest between two requests; then one whose first byte is late. Whether there was one.
    pub fn make_room(&self, wake: &impl Wake) -> bool {
        let now = clock::now();
        let turns = [Turn::IdleTask, Turn::Silent, Turn::Idle, Turn::Wordless];
        turns.into_iter().any(|turn| self.end_first(turn, now, wake))
    }

    /// As [`Self::make_room`], where a descriptor must be free when this returns: no task is waited
    /// for, and if need be a peer goes that has just connected.
    pub fn make_room_at_once(&self, wake: &impl Wake) -> bool {
        let now = clock::now();
        let turns = [Turn::Silent, Turn::Idle, Turn::Wordless, Turn::Fresh];
        turns.into_iter().any(|turn| self.end_first(turn, now, wake))
    }

    /// Ends connections that rest for longer than `allowed` makes of the time they have, at most
    /// `most` of them; says how many. Those that may rest for ever are left.
    pub fn shorten(
        &self,
        allowed: impl Fn(Duration) -> Duration,
        most: usize,
        wake: &impl Wake,
    ) -> usize {
        let now = clock::now();
        let mut ended = 0;
        let lists = self.inner.borrow().lists.len();
        for list in 0..lists {
            while ended < most {
                let inner = self.inner.borrow();
                let length = inner.lists[list].length;
                let Some((token, wait, since)) = inner.longest(list) else { break };
                if length == FOR_EVER || now.since(since) < allowed(length) {
                    break;
                }
                drop(inner);
                self.end(token, wait, wake);
                ended += 1;
            }
        }
        ended
    }

    /// Whether nothing rests that [`Self::make_room`] would end.
    pub fn is_dry(&self) -> bool {
        let (now, inner) = (clock::now(), self.inner.borrow());
        let mut resting = (0..inner.lists.len()).filter_map(|list| inner.longest(list));
        resting.all(|(_, wait, since)| Turn::Fresh.takes(wait, now.since(since)))
    }

    /// Whether an active connection was told to end and make room.
    pub fn makes_room(&self, token: Token) -> bool {
        self.inner.borrow_mut().slab.find(token).is_some_and(|record| record.makes_room())
    }

    /// An active connection that was told so has work again, and stays.
    pub fn stays(&self, token: Token) {
        let mut inner = self.inner.borrow_mut();
        let told = inner.slab.find(token).filter(|record| record.makes_room());
        if let Some(record) = told {
            record.set_makes_room(false);
            inner.leaving -= 1;
        }
    }

    /// How many active connections were told so and have not ended yet.
    pub fn leaving(&self) -> usize {
        self.inner.borrow().leaving
    }

    fn end_first(&self, turn: Turn, now: Tick, wake: &impl Wake) -> bool {
        let inner = self.inner.borrow();
        let first = (0..inner.lists.len())
            .filter_map(|list| inner.longest(list))
            .filter(|(_, wait, since)| turn.takes(*wait, now.since(*since)))
            .min_by_key(|(_, _, since)| *since);
        drop(inner);
        if let Some((token, wait, _)) = first {
            self.end(token, wait, wake);
        }
        first.is_some()
    }

    /// Closes a parked connection, or has an idle task end its own.
    fn end(&self, token: Token, wait: Wait, wake: &impl Wake) {
        let mut inner = self.inner.borrow_mut();
        if wait != Wait::IdleTask {
            let record = &mut inner.slab[token.index];
            let (listener, peer) = (record.listener, record.peer());
            let left = Left { descriptor: record.descriptor.take(), held: record.kept.take() };
            self.close_parked(&mut inner, token);
            drop(inner);
            return wake.closed(Closed::Pressure, listener, peer, left);
        }
        inner.unlink(token.index);
        inner.leaving += 1;
        let record = &mut inner.slab[token.index];
        record.wait = Wait::Task;
        record.set_makes_room(true);
        record.set_expired(true);
        if let Some(waker) = record.kept.waker().cloned() {
            drop(inner);
            waker.wake();
        }
    }
}

impl Turn {
    fn takes(self, wait: Wait, rested: Duration) -> bool {
        match self {
            Self::IdleTask => wait == Wait::IdleTask,
            Self::Silent => wait == Wait::FirstByte && rested >= SILENT_FOR,
            Self::Idle => wait == Wait::Idle,
            Self::Wordless => wait == Wait::FirstByte && rested >= FRESH_FOR,
            Self::Fresh => wait == Wait::FirstByte && rested < FRESH_FOR,
        }
    }
}

impl Inner {
    /// Who rests longest in a list, and since when. A connection near the end of its age counts
    /// from its last step there.
    fn longest(&self, list: usize) -> Option<(Token, Wait, Tick)> {
        let mut index = self.lists[list].head;
        // Who was told to go and has not gone yet hides nobody.
        while index != NONE && self.slab[index].makes_room() {
            index = self.slab[index].next;
        }
        let (token, deadline) = self.at(index)?;
        let wait = self.slab[index].wait;
        let rests = matches!(wait, Wait::FirstByte | Wait::Idle | Wait::IdleTask);
        let length = u64::try_from(self.lists[list].length.as_millis()).unwrap_or(u64::MAX);
        let since = Tick::from_millis(deadline.as_millis().saturating_sub(length));
        rests.then_some((token, wait, since))
    }
}

#[cfg(test)]
mod tests;
