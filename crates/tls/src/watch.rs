//! Certificates are read again when their files change, and announced before they end.
//!
//! Looks at the files from time to time, through symbolic links: what renews certificates often
//! puts a new link in place. Change is looked at twice, so that a certificate and its key, which
//! are written one after the other, are read together. A new file that cannot be used is said once
//! and counted; the old certificate stays.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_sys::clock;

use crate::entry::{Entry, EntryOptions};

/// What is known of the files of some entries.
#[derive(Debug)]
pub struct Watch {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    entry: Arc<Entry>,
    /// What was read.
    read: Identity,
    /// What was there at the last look.
    seen: Identity,
    /// The day on which its end was announced last, counted from 1970.
    announced: Option<u64>,
}

/// What the system says of an entry's files; changes when one of them does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity(Vec<Option<[i64; 5]>>);

impl Watch {
    /// How often to look.
    pub const EVERY: Duration = Duration::from_secs(2);
    /// How long before its end a certificate is announced.
    pub const ANNOUNCED_BEFORE: Duration = Duration::from_hours(21 * 24);

    /// Watches entries; what changed since they were read is seen as well.
    pub fn new(entries: Vec<Arc<Entry>>) -> Self {
        let watched = entries.into_iter().map(|entry| {
            let state = entry.live().files.clone();
            Watched { entry, read: state.clone(), seen: state, announced: None }
        });
        Self { watched: watched.collect() }
    }

    /// Looks once, reads what changed and announces what ends. Touches the disk.
    pub fn look(&mut self) {
        for watched in &mut self.watched {
            watched.look();
            watched.announce(clock::wall().as_secs());
        }
    }
}

const DAY: u64 = 24 * 3600;

impl Watched {
    fn look(&mut self) {
        let state = self.entry.files();
        if state != self.seen {
            self.seen = state;
            return;
        }
        if state == self.read {
            return;
        }
        self.read = state;
        let name = self.entry.name();
        match self.entry.reload() {
            Ok(()) => {
                self.announced = None;
                tracing::info!("tls.{name}: read again, {}", self.entry.live().names);
            }
            Err(problems) => {
                self.entry.reload_failed();
                for problem in problems {
                    tracing::error!("tls.{name}: the old certificate stays: {problem}");
                }
            }
        }
    }

    fn announce(&mut self, wall: u64) {
        let ends = self.entry.not_after();
        let left = ends.saturating_sub(wall);
        let today = wall / DAY;
        if !self.entry.ends_soon(wall) || self.announced == Some(today) {
            return;
        }
        self.announced = Some(today);
        let name = self.entry.name();
        match left / DAY {
            _ if left == 0 => tracing::error!("tls.{name}: the certificate has expired: renew it"),
            0 => tracing::warn!("tls.{name}: the certificate ends today: renew it"),
            days => tracing::warn!("tls.{name}: the certificate ends in {days} days: renew it"),
        }
    }
}

impl Identity {
    pub(crate) fn of(options: &EntryOptions) -> Self {
        Self(options.files().map(identity).collect())
    }
}

fn identity(path: &Path) -> Option<[i64; 5]> {
    let facts = std::fs::metadata(path).ok()?;
    let size = i64::try_from(facts.size()).unwrap_or(i64::MAX);
    // A file's number and change time tell what a restored modification time hides.
    Some([facts.ino() as i64, size, facts.mtime(), facts.ctime(), facts.ctime_nsec()])
}
