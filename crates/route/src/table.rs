//! The routes of one site, or the server's own, ready for lookups, in their total order.
//!
//! First the tree of paths, then regexes in file order, then the tree of wildcards; at a leaf the
//! candidates stand in order of their matchers. A lookup and `stead explain` go the same way
//! through [`Table::visit`], so that the explanation cannot differ from what happens.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::captures::{CaptureNames, Captures};
use crate::matcher::Matcher;
use crate::method::MethodSet;
use crate::regexes::PathRegex;
use crate::tree::Tree;

/// The compiled routes of a site. Clones share everything but the regexes' search memory.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) paths: Arc<Tree>,
    pub(crate) regexes: Vec<(PathRegex, Candidate)>,
    pub(crate) wildcards: Arc<Tree>,
    /// The candidates of both trees; a leaf is the index of its first.
    pub(crate) candidates: Arc<[Candidate]>,
    pub(crate) matchers: Vec<Matcher>,
    /// Names by route.
    pub(crate) names: Arc<[CaptureNames]>,
}

/// A route whose path matches, if the lookup came to it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) methods: MethodSet,
    /// Its matchers in [`Table::matchers`]: the first and the one behind the last.
    pub(crate) matchers: (u32, u32),
    /// The route's index in its site.
    pub(crate) route: u32,
    /// Whether the leaf ends here.
    pub(crate) last: bool,
}

/// What looks at candidates, in their order.
pub(crate) trait Visitor {
    /// Looks at a candidate whose path matches; breaks to stop.
    fn candidate(
        &mut self,
        table: &Table,
        candidate: &Candidate,
        captures: &mut Captures,
    ) -> ControlFlow<()>;

    /// Learns of a regex that was tried and does not match.
    fn path_differs(&mut self, _candidate: &Candidate) {}
}

impl Table {
    /// Shows `visitor` every candidate for `path`, in the total order, until it breaks.
    pub(crate) fn visit(
        &self,
        path: &str,
        captures: &mut Captures,
        visitor: &mut impl Visitor,
    ) -> ControlFlow<()> {
        self.paths.walk(path, captures, |leaf, captures| self.leaf(leaf, captures, visitor))?;
        for (regex, candidate) in &self.regexes {
            if regex.captures(path, captures) {
                visitor.candidate(self, candidate, captures)?;
            } else {
                visitor.path_differs(candidate);
            }
        }
        self.wildcards.walk(path, captures, |leaf, captures| self.leaf(leaf, captures, visitor))
    }

    fn leaf(
        &self,
        leaf: u32,
        captures: &mut Captures,
        visitor: &mut impl Visitor,
    ) -> ControlFlow<()> {
        for candidate in self.candidates.get(leaf as usize..).unwrap_or_default() {
            visitor.candidate(self, candidate, captures)?;
            if candidate.last {
                break;
            }
        }
        ControlFlow::Continue(())
    }

    pub(crate) fn matchers_of(&self, candidate: &Candidate) -> &[Matcher] {
        let (start, end) = candidate.matchers;
        self.matchers.get(start as usize..end as usize).unwrap_or_default()
    }
}
