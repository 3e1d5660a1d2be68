//! Methods as bits, so that a route's set is one word and `Allow` a union.
//!
//! Nine well-known methods have fixed bits, the methods that routes of the server name get the next
//! ones, and every other method is `OTHER`, which only routes without `methods` take.

use std::fmt;

/// A set of methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct MethodSet(u64);

impl MethodSet {
    /// No method.
    pub(crate) const NONE: Self = Self(0);
    /// What a route without `methods` takes.
    pub(crate) const ANY: Self = Self(!(1 << TRACE | 1 << CONNECT));

    /// Whether the sets share a method.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every method of `other` is in this set.
    pub(crate) fn holds(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The methods of both.
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// HEAD follows GET.
    pub(crate) fn with_head(self) -> Self {
        Self(self.0 | (self.0 >> GET & 1) << HEAD)
    }

    pub(crate) fn is_options(self) -> bool {
        self.0 == 1 << OPTIONS
    }

    pub(crate) fn is_never_routed(self) -> bool {
        self.0 & (1 << TRACE | 1 << CONNECT) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The methods that routes of one server name beyond the well-known ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    named: Vec<String>,
}

impl Methods {
    /// The set of this one method.
    pub(crate) fn set_of(&self, method: &str) -> MethodSet {
        let known = match method {
            "GET" => GET,
            "HEAD" => HEAD,
            "POST" => POST,
            "PUT" => PUT,
            "PATCH" => PATCH,
            "DELETE" => DELETE,
            "OPTIONS" => OPTIONS,
            "TRACE" => TRACE,
            "CONNECT" => CONNECT,
            _ => match self.named.iter().position(|named| named == method) {
                Some(index) => NAMED_FIRST + index as u32,
                None => OTHER,
            },
        };
        MethodSet(1 << known)
    }

    /// The same, with a new bit for a method named the first time; `None` when all are taken.
    pub(crate) fn intern(&mut self, method: &str) -> Option<MethodSet> {
        let set = self.set_of(method);
        if set != MethodSet(1 << OTHER) {
            return Some(set);
        }
        if self.named.len() == NAMED_MAX {
            return None;
        }
        self.named.push(method.to_owned());
        Some(self.set_of(method))
    }
}

/// The methods that a path takes: the value of `Allow`, written by its `Display`.
#[derive(Clone, Copy, Debug)]
pub struct Allow<'r> {
    set: MethodSet,
    methods: &'r Methods,
}

impl<'r> Allow<'r> {
    pub(crate) fn new(set: MethodSet, methods: &'r Methods) -> Self {
        Self { set, methods }
    }

    /// The methods, the best known first. OPTIONS is the last, since it is always answered; none at
    /// all where no route has the path.
    pub fn methods(&self) -> impl Iterator<Item = &'r str> {
        let set = self.set;
        let known = KNOWN.into_iter().filter(move |(bit, _)| set.0 >> bit & 1 == 1);
        let any = set.0 >> OTHER & 1 == 1;
        let named = self.methods.named.iter().enumerate();
        let named = named
            .filter(move |(index, _)| !any && set.0 >> (NAMED_FIRST as usize + index) & 1 == 1);
        let options = (!set.is_empty()).then_some("OPTIONS");
        known.map(|(_, name)| name).chain(named.map(|(_, name)| name.as_str())).chain(options)
    }
}

impl fmt::Display for Allow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(method)?;
        }
        Ok(())
    }
}

const GET: u32 = 0;
const HEAD: u32 = 1;
const POST: u32 = 2;
const PUT: u32 = 3;
const PATCH: u32 = 4;
const DELETE: u32 = 5;
const OPTIONS: u32 = 6;
const TRACE: u32 = 7;
const CONNECT: u32 = 8;
const NAMED_FIRST: u32 = 9;
const OTHER: u32 = 63;

/// Methods that routes of one server may name beyond the well-known ones.
pub(crate) const NAMED_MAX: usize = (OTHER - NAMED_FIRST) as usize;

/// Those that `Allow` begins with.
const KNOWN: [(u32, &str); 6] = [
    (GET, "GET"),
    (HEAD, "HEAD"),
    (POST, "POST"),
    (PUT, "PUT"),
    (PATCH, "PATCH"),
    (DELETE, "DELETE"),
];
