//! What a component receives when it is built from its settings.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use stead_config::{Diagnostic, Diagnostics, Kind, Settings};
use stead_route::CaptureNames;

use crate::local::LocalKeys;
use crate::{Fact, Handler, LocalKey, Middleware, Process};

/// A kind of handler; [`Kind`] has the methods that add texts and settings.
pub type HandlerKind =
    Kind<fn(&Settings, &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics>>;

/// A kind of middleware; [`Kind`] has the methods that add texts and settings.
pub type MiddlewareKind =
    Kind<fn(&Settings, &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics>>;

/// What a component may ask for while it is built.
pub struct BuildContext<'a> {
    captures: &'a CaptureNames,
    captures_seen: Cell<bool>,
    process: &'a Arc<Process>,
    keys: &'a LocalKeys,
    path: Option<&'a str>,
    warnings: RefCell<Diagnostics>,
}

impl<'a> BuildContext<'a> {
    /// For a component on a route whose pattern has these captures; none where it stands around
    /// several routes.
    pub fn new(captures: &'a CaptureNames, process: &'a Arc<Process>, keys: &'a LocalKeys) -> Self {
        let captures_seen = Cell::new(false);
        Self { captures, captures_seen, process, keys, path: None, warnings: RefCell::default() }
    }

    /// For a component on a route that takes every GET of `path`, which is a pattern.
    pub fn on_path(mut self, path: &'a str) -> Self {
        self.path = Some(path);
        self
    }

    /// The pattern of the route's path, where nothing else decides whether the route takes a GET.
    pub fn path(&self) -> Option<&'a str> {
        self.path
    }

    /// Reports what is probably not meant, though the component can be built.
    pub fn warn(&self, warning: Diagnostic) {
        self.warnings.borrow_mut().push(warning);
    }

    /// What was reported while the component was built.
    pub fn into_warnings(self) -> Diagnostics {
        self.warnings.into_inner()
    }

    /// Names that the route's pattern captures. A position here is what
    /// [`Exchange::capture`](crate::Exchange::capture) takes.
    pub fn captures(&self) -> &'a [String] {
        self.captures_seen.set(true);
        &self.captures.names
    }

    /// The same, where one of these placeholders could mean a capture; none where all are facts of
    /// every request, so that a component that uses no capture can serve several routes.
    pub fn captures_for<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> &'a [String] {
        let is_capture = |name: &str| self.captures.names.iter().any(|capture| capture == name);
        let mut names = names.into_iter();
        // What is neither is a mistake, for whose correction every name is wanted.
        let is_asked = names.any(|name| is_capture(name) || Fact::named(name).is_none());
        if is_asked { self.captures() } else { &[] }
    }

    /// The position of the pattern's wildcard among the captures, if it has one.
    pub fn wildcard(&self) -> Option<usize> {
        self.captures_seen.set(true);
        self.captures.wildcard
    }

    /// Whether the component asked for captures, so that it serves this route only.
    pub fn is_of_one_route(&self) -> bool {
        self.captures_seen.get()
    }

    /// The process that will carry the component.
    pub fn process(&self) -> &'a Arc<Process> {
        self.process
    }

    /// A place for a `T` on each worker.
    pub fn local<T>(&self) -> LocalKey<T> {
        self.keys.next()
    }

    /// The same for memory kept for reuse, which a worker that has been quiet gives back.
    pub fn scratch<T>(&self) -> LocalKey<T> {
        self.keys.scratch()
    }
}

/// Turns names of files into modules and into `KINDS`, the sorted list of kinds: what a crate of
/// kinds consists of.
#[macro_export]
macro_rules! register {
    ($($name:ident),* ; $kind:ty) => {
        $(pub mod $name;)*

        /// Every kind of this crate, sorted by name.
        pub const KINDS: &[$kind] = &[$($name::KIND),*];
    };
}
