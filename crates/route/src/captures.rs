//! What a lookup found in the path: captures by position, as spans of the canonical path.
//!
//! One per exchange, reused: cleared by the next lookup, its memory kept. The names stay in the
//! router ([`CaptureNames`]); who wants a capture looks its position up once, when it is built. The
//! scratch memory of lookups lives here too, which is why they allocate nothing when warm.

use regex_automata::util::primitives::NonMaxUsize;

use crate::tree::Turn;

/// The captures of the last lookup, and its scratch memory.
///
/// Values are canonical: still escaped, to be decoded once where a file name is wanted.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Start and end of each capture in the path.
    spans: Vec<(u32, u32)>,
    /// Ways that the walk through a tree has not tried yet.
    pub(crate) turns: Vec<Turn>,
    pub(crate) visits: u32,
    /// Where a regex puts its groups.
    pub(crate) slots: Vec<Option<NonMaxUsize>>,
    /// A decoded value of the query.
    pub(crate) text: Vec<u8>,
}

impl Captures {
    /// Captures nothing, holds no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what the last lookup found.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.visits = 0;
    }

    /// The value of the capture at `index`, a position in [`CaptureNames`], in `path`, the
    /// canonical path of the lookup. A regex group that took no part in the match is empty.
    pub fn get<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        let &(start, end) = self.spans.get(index)?;
        path.get(start as usize..end as usize)
    }

    /// The values of all captures, in the order of [`CaptureNames`].
    pub fn iter<'p>(&self, path: &'p str) -> impl ExactSizeIterator<Item = &'p str> {
        self.spans
            .iter()
            .map(|&(start, end)| path.get(start as usize..end as usize).unwrap_or_default())
    }

    /// How many captures there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many forks of the route trees the last lookup visited: what it cost.
    pub fn visits(&self) -> u32 {
        self.visits
    }

    pub(crate) fn push(&mut self, start: usize, end: usize) {
        self.spans.push((start as u32, end as u32));
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> [usize; 4] {
        [self.spans.capacity(), self.turns.capacity(), self.slots.capacity(), self.text.capacity()]
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
    }
}

/// The names of a route's captures, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CaptureNames {
    /// The names; a position here is what [`Captures::get`] takes.
    pub names: Vec<String>,
    /// The position of `{*name}`, if the pattern has one.
    pub wildcard: Option<usize>,
}

impl CaptureNames {
    /// The position of `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }
}
