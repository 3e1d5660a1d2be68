//! The tree of patterns: one fork for each prefix of segments, walked depth first.
//!
//! At a fork the literal segment is tried before the capture, the capture before a wildcard that
//! ends here, so routes come out in their total order. Ways not yet tried wait on a stack.
//! INVARIANT: a fork is reached over one path of segments only, so a lookup visits each at most
//! once, however it was asked: visits are bounded by the number of forks that can match that many
//! segments.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use crate::captures::Captures;
use crate::literals::Literals;
use crate::pattern::{Pattern, Segment};

/// Patterns that all end in a segment, or all in a wildcard.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    forks: Box<[Fork]>,
    literals: Literals,
    ending: Ending,
}

/// How the patterns of a tree end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the path.
    Segment,
    /// With a wildcard, which takes what is left of the path.
    Rest,
}

#[derive(Clone, Copy, Debug)]
struct Fork {
    /// The fork behind a capture, or `NONE`.
    capture: u32,
    /// The leaf of patterns that end here, or `NONE`.
    leaf: u32,
    /// Whether any literal leads on.
    literals: bool,
}

/// A way that the walk will come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    kind: TurnKind,
    /// The fork to enter, or the leaf to try.
    goal: u32,
    /// The capture's span.
    start: u32,
    end: u32,
    /// How many captures there were.
    captures: u32,
}

#[derive(Clone, Copy, Debug)]
enum TurnKind {
    Capture,
    Rest,
}

impl Tree {
    /// Builds a tree of patterns, and says for each pattern which leaf it ends in. Patterns of the
    /// same shape share a leaf; leaves are numbered from 0 in the order of their first patterns.
    pub(crate) fn build(patterns: &[&Pattern], ending: Ending) -> (Self, Vec<u32>) {
        let mut forks = vec![Fork::EMPTY];
        let mut literals: HashMap<(u32, &str), u32> = HashMap::new();
        let mut leaf_count = 0;
        let mut leaves = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let mut at = 0;
            for segment in &pattern.segments {
                let new = forks.len() as u32;
                let next = match segment {
                    Segment::Literal(text) => {
                        forks[at as usize].literals = true;
                        *literals.entry((at, text)).or_insert(new)
                    }
                    Segment::Capture(_) => {
                        let capture = &mut forks[at as usize].capture;
                        *capture = if *capture == NONE { new } else { *capture };
                        *capture
                    }
                };
                if next == new {
                    forks.push(Fork::EMPTY);
                }
                at = next;
            }
            let leaf = &mut forks[at as usize].leaf;
            if *leaf == NONE {
                *leaf = leaf_count;
                leaf_count += 1;
            }
            leaves.push(*leaf);
        }
        let mut keys: Vec<_> =
            literals.into_iter().map(|((fork, text), next)| (fork, text, next)).collect();
        keys.sort_unstable();
        (Self { forks: forks.into(), literals: Literals::build(&keys), ending }, leaves)
    }

    /// Gives every leaf another number.
    pub(crate) fn number_leaves(&mut self, number: impl Fn(u32) -> u32) {
        for fork in self.forks.iter_mut().filter(|fork| fork.leaf != NONE) {
            fork.leaf = number(fork.leaf);
        }
    }

    /// Calls `enter` with every leaf that matches `path`, in order, its captures set, until it
    /// breaks.
    pub(crate) fn walk(
        &self,
        path: &str,
        captures: &mut Captures,
        mut enter: impl FnMut(u32, &mut Captures) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let bytes = path.as_bytes();
        captures.turns.clear();
        captures.truncate(0);
        // PERF: a tree without forks has no pattern, or one that takes every path.
        if let [root] = &*self.forks {
            captures.visits += 1;
            if root.leaf == NONE || self.ending == Ending::Segment {
                return ControlFlow::Continue(());
            }
            captures.push(1, bytes.len());
            return enter(root.leaf, captures);
        }
        let (mut fork_index, mut start) = (0, 1);
        loop {
            captures.visits += 1;
            let fork = &self.forks[fork_index as usize];
            let next = if start <= bytes.len() {
                self.lead_on(fork_index, fork, bytes, start, captures)
            } else {
                if self.ending == Ending::Segment && fork.leaf != NONE {
                    enter(fork.leaf, captures)?;
                }
                None
            };
            (fork_index, start) = match next {
                Some(next) => next,
                None => match Self::turn_back(captures, &mut enter)? {
                    Some(next) => next,
                    None => return ControlFlow::Continue(()),
                },
            };
        }
    }

    /// The first way on from `fork`, the others put aside; where it leads and where the next
    /// segment starts.
    #[inline]
    fn lead_on(
        &self,
        fork_index: u32,
        fork: &Fork,
        bytes: &[u8],
        start: usize,
        captures: &mut Captures,
    ) -> Option<(u32, usize)> {
        let piece = self.literals.scan(bytes, start);
        if self.ending == Ending::Rest && fork.leaf != NONE {
            let span = piece.start..bytes.len();
            captures.turns.push(Turn::new(TurnKind::Rest, fork.leaf, span, captures.len()));
        }
        let next_start = piece.end + 1;
        let literal =
            if fork.literals { self.literals.find(fork_index, &piece, bytes) } else { None };
        let capture = (fork.capture != NONE && !piece.is_empty()).then_some(fork.capture);
        match (literal, capture) {
            (Some(literal), Some(capture)) => {
                let span = piece.start..piece.end;
                captures.turns.push(Turn::new(TurnKind::Capture, capture, span, captures.len()));
                Some((literal, next_start))
            }
            (Some(literal), None) => Some((literal, next_start)),
            (None, Some(capture)) => {
                captures.push(piece.start, piece.end);
                Some((capture, next_start))
            }
            (None, None) => None,
        }
    }

    /// Takes the latest way put aside; wildcards end there.
    fn turn_back(
        captures: &mut Captures,
        enter: &mut impl FnMut(u32, &mut Captures) -> ControlFlow<()>,
    ) -> ControlFlow<(), Option<(u32, usize)>> {
        while let Some(turn) = captures.turns.pop() {
            captures.truncate(turn.captures as usize);
            captures.push(turn.start as usize, turn.end as usize);
            match turn.kind {
                TurnKind::Capture => {
                    return ControlFlow::Continue(Some((turn.goal, turn.end as usize + 1)));
                }
                TurnKind::Rest => enter(turn.goal, captures)?,
            }
        }
        ControlFlow::Continue(None)
    }

    /// How many forks there are.
    #[cfg(test)]
    pub(crate) fn fork_count(&self) -> usize {
        self.forks.len()
    }
}

impl Fork {
    const EMPTY: Self = Self { capture: NONE, leaf: NONE, literals: false };
}

impl Turn {
    fn new(kind: TurnKind, goal: u32, span: Range<usize>, captures: usize) -> Self {
        let (start, end) = (span.start as u32, span.end as u32);
        Self { kind, goal, start, end, captures: captures as u32 }
    }
}

const NONE: u32 = u32::MAX;
