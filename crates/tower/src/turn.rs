//! Notices turns of a service that keep its neighbours waiting.
//!
//! A service runs on its worker's event loop: while it computes, every other connection of that
//! worker waits. Each poll is timed with the coarse clock, which costs a few nanoseconds.

use std::rc::Rc;
use std::time::Duration;

use stead_base::Tick;
use stead_core::{Exchange, Worker};

/// A turn beyond this is logged.
const TURN_MAX: Duration = Duration::from_millis(50);

/// Times the turns of one exchange.
#[derive(Clone)]
pub(crate) struct Turns {
    worker: Rc<Worker>,
    server: Rc<str>,
    route: Rc<str>,
}

impl Turns {
    pub(crate) fn new(exchange: &Exchange, route: &Rc<str>) -> Self {
        Self {
            worker: Rc::clone(exchange.worker()),
            server: Rc::clone(&exchange.connection().server),
            route: Rc::clone(route),
        }
    }

    /// Runs one turn, of the request for `path` where that is known: an answer's body is elsewhere.
    pub(crate) fn turn<T>(&self, path: Option<&str>, run: impl FnOnce() -> T) -> T {
        let began = self.begin();
        let result = run();
        self.end(began, path);
        result
    }

    /// Begins a turn that is no closure's.
    pub(crate) fn begin(&self) -> Tick {
        self.worker.now()
    }

    /// Ends a turn.
    pub(crate) fn end(&self, began: Tick, path: Option<&str>) {
        let took = self.worker.now() - began;
        if took > TURN_MAX {
            tracing::warn!(
                server = &*self.server,
                route = &*self.route,
                path,
                "a service kept its worker busy for {} ms: hand such work to a blocking task or \
                 run the service on a runtime of its own",
                took.as_millis()
            );
        }
    }
}
