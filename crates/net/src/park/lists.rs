//! Deadlines in lists: one for each length of time that connections wait, in order of expiry,
//! because whoever was armed last expires last. Arming and disarming are O(1), and a look costs
//! what has expired.
//!
//! Who rests longest stands at the head of one of them, which is how room is made
//! (`park::room`).

use std::time::Duration;

use stead_base::Tick;

use super::Inner;
use crate::record::{NO_LIST, NONE, Record, Token, Wait};

/// Connections that wait for the same with a deadline `length` after it was armed: the order of
/// arming is the order of expiry.
pub(super) struct List {
    pub(super) length: Duration,
    pub(super) wait: Wait,
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl Inner {
    pub(super) fn link(&mut self, index: u32, length: Duration, now: Tick) -> Tick {
        let list = self.list(length, self.slab[index].wait);
        // The list's own length: deadlines in it stay in order, whoever asked for a longer one.
        let deadline = now + self.lists[list].length;
        let tail = self.lists[list].tail;
        let record: &mut Record = &mut self.slab[index];
        record.deadline = deadline;
        record.list = list as u8;
        record.previous = tail;
        record.next = NONE;
        match tail {
            NONE => self.lists[list].head = index,
            tail => self.slab[tail].next = index,
        }
        self.lists[list].tail = index;
        deadline
    }

    pub(super) fn unlink(&mut self, index: u32) {
        let record = &mut self.slab[index];
        if record.list == NO_LIST {
            return;
        }
        let list = record.list as usize;
        let (previous, next) = (record.previous, record.next);
        record.list = NO_LIST;
        match previous {
            NONE => self.lists[list].head = next,
            previous => self.slab[previous].next = next,
        }
        match next {
            NONE => self.lists[list].tail = previous,
            next => self.slab[next].previous = previous,
        }
    }

    /// The list for `length`. Lengths come from the configuration; past 254 of them the nearest
    /// shorter one serves, so that a deadline is never late.
    fn list(&mut self, length: Duration, wait: Wait) -> usize {
        let same = |list: &List| list.length == length && list.wait == wait;
        if let Some(list) = self.lists.iter().position(same) {
            return list;
        }
        if self.lists.len() < usize::from(NO_LIST) {
            self.lists.push(List { length, wait, head: NONE, tail: NONE });
            return self.lists.len() - 1;
        }
        let shorter = self.lists.iter().enumerate().filter(|(_, list)| list.length <= length);
        let nearest = shorter.max_by_key(|(_, list)| (list.length, list.wait == wait));
        nearest.map_or(0, |(index, _)| index)
    }

    pub(super) fn first(&self, list: usize) -> Option<(Token, Tick)> {
        self.at(self.lists[list].head)
    }

    /// The connection of a record, if that is one, and its deadline.
    pub(super) fn at(&self, index: u32) -> Option<(Token, Tick)> {
        (index != NONE).then(|| {
            let record = &self.slab[index];
            (Token { index, generation: record.generation }, record.deadline)
        })
    }
}

/// Longer than any limit: what is armed with it never runs out.
pub const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The longest step of 0.1 s, 0.2 s, 0.4 s, … that does not go beyond `left`. What is left may be
/// any length of time, and the park keeps a list for each length that it is given.
pub fn step_towards(left: Duration) -> Duration {
    const STEP: Duration = Duration::from_millis(100);
    let steps = u32::try_from(left.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX);
    STEP * steps.checked_ilog2().map_or(1, |log| 1 << log.min(30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Slab;
    use stead_core::Peer;

    fn inner(connections: usize) -> Inner {
        let mut slab = Slab::new();
        for _ in 0..connections {
            slab.insert(Peer::Unix, 0);
        }
        Inner { slab, lists: Vec::new(), parked: 0, leaving: 0, active_peak: 0 }
    }

    /// The deadlines of a list, in its order.
    fn deadlines(inner: &Inner, list: usize) -> Vec<Tick> {
        let mut deadlines = Vec::new();
        let mut index = inner.lists[list].head;
        while index != NONE {
            deadlines.push(inner.slab[index].deadline);
            index = inner.slab[index].next;
        }
        deadlines
    }

    #[test]
    fn a_list_stays_in_order_whatever_is_taken_out() {
        let mut inner = inner(6);
        let length = Duration::from_secs(1);
        for index in 0..6 {
            inner.link(index, length, Tick::from_millis(u64::from(index)));
        }
        for index in [0, 3, 5] {
            inner.unlink(index);
        }
        let left = [1, 2, 4].map(|millis| Tick::from_millis(1_000 + millis));
        assert_eq!(deadlines(&inner, 0), left);
        assert_eq!(inner.first(0).map(|(token, _)| token.index), Some(1));
        for index in [2, 1, 4, 4] {
            inner.unlink(index);
        }
        assert_eq!((inner.first(0), inner.lists[0].tail), (None, NONE));
    }

    #[test]
    fn more_lengths_than_lists_stay_in_order_and_are_never_late() {
        const MANY: u32 = 600;
        let mut inner = inner(MANY as usize);
        for index in 0..MANY {
            // Short and long ones by turns.
            let length = Duration::from_millis(u64::from(index * 7_919 % MANY) + 1);
            let now = Tick::from_millis(u64::from(index));
            assert!(inner.link(index, length, now) <= now + length);
        }
        assert_eq!(inner.lists.len(), usize::from(NO_LIST));
        for list in 0..inner.lists.len() {
            assert!(deadlines(&inner, list).is_sorted(), "list {list}");
        }
    }

    #[test]
    fn steps_are_few_and_never_too_long() {
        for (left, step) in
            [(0, 100), (99, 100), (100, 100), (199, 100), (200, 200), (3_999, 3_200)]
        {
            let stepped = step_towards(Duration::from_millis(left));
            assert_eq!(stepped, Duration::from_millis(step), "{left} ms left");
        }
        assert!(step_towards(Duration::MAX) > Duration::from_secs(1 << 20));
    }
}
