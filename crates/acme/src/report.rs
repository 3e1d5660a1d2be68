//! What `status` tells of each certificate.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// One host's certificate, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The host.
    pub host: String,
    /// Whether it can be served.
    pub condition: Condition,
    /// Whether it is near its end, or past it, because renewals fail.
    pub ends_soon: bool,
    /// When it is renewed, where there is one.
    pub renew_at: Option<SystemTime>,
    /// When the next attempt comes, where the last one failed.
    pub try_at: Option<SystemTime>,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// What the last of them said.
    pub last_error: Option<String>,
    /// Certificates that were issued to this process for the host.
    pub issued: u64,
}

/// Whether a host's certificate can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none yet.
    Pending,
    /// It is valid until then.
    Valid(SystemTime),
    /// It was valid until then, and is served for lack of another.
    Expired(SystemTime),
}

impl Condition {
    /// The word in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid(_) => "valid",
            Self::Expired(_) => "expired",
        }
    }

    /// Until when it is, or was, valid.
    pub const fn not_after(self) -> Option<SystemTime> {
        match self {
            Self::Pending => None,
            Self::Valid(until) | Self::Expired(until) => Some(until),
        }
    }
}

/// The reports of all hosts, written by the background thread.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<BTreeMap<String, Report>>);

impl Reports {
    pub(crate) fn set(&self, report: Report) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.insert(report.host.clone(), report);
    }

    pub(crate) fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
