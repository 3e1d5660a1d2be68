//! The signals that stop a process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGQUIT.
pub(crate) struct Stop([Signal; 3]);

impl Stop {
    /// From now on these signals end nothing by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        let [one, two, three] = kinds;
        Ok(Self([signal(one)?, signal(two)?, signal(three)?]))
    }

    /// The next of them.
    pub(crate) async fn recv(&mut self) {
        let [one, two, three] = &mut self.0;
        tokio::select! { _ = one.recv() => {}, _ = two.recv() => {}, _ = three.recv() => {} }
    }
}
