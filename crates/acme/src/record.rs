//! What is remembered of one host beside its certificate: when to renew, and what failed.
//!
//! A small JSON file with a version. It outlives the process, so that one which is restarted again
//! and again does not ask the authority each time. A file that cannot be read is as good as none.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, wait};
use crate::schedule::{Window, chance, from_unix_s, unix_s};

/// What is remembered of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// When the certificate is renewed; none where there is no certificate.
    pub(crate) renew_at: Option<SystemTime>,
    /// When the certificate was issued, by this machine's clock; none where that is not known.
    pub(crate) issued_at: Option<SystemTime>,
    /// The window that the authority suggested, where it did.
    pub(crate) window: Option<Window>,
    /// When it is asked for the window again.
    pub(crate) ask_at: Option<SystemTime>,
    /// Attempts that failed in a row.
    pub(crate) failures: u32,
    /// Of these, those that came as far as a proof, or were refused.
    pub(crate) refusals: u32,
    /// When the last of them ended.
    pub(crate) failed_at: Option<SystemTime>,
    /// Before when no other may come.
    pub(crate) try_at: Option<SystemTime>,
    /// Whether the authority itself asked for that wait.
    pub(crate) is_asked: bool,
    /// What the last of them said.
    pub(crate) last_error: Option<String>,
}

impl Record {
    /// After a certificate was issued: failures are forgotten.
    pub(crate) fn issued(renew_at: SystemTime, now: SystemTime) -> Self {
        Self { renew_at: Some(renew_at), issued_at: Some(now), ..Self::default() }
    }

    /// Remembers a failed attempt; gives how long to wait.
    pub(crate) fn fail(&mut self, failure: &Failure, kinds: usize, now: SystemTime) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let kinds = u32::try_from(kinds).unwrap_or(1);
        // A network that was away says nothing of a proof that was never tried.
        let count = match failure.cause {
            Cause::Challenge | Cause::Refused => {
                self.refusals = self.refusals.saturating_add(1);
                self.refusals
            }
            Cause::Passing | Cause::AccountGone | Cause::RateLimited => self.failures,
        };
        let wait = wait(failure, count, kinds, chance());
        self.failed_at = Some(now);
        self.try_at = now.checked_add(wait);
        self.is_asked = failure.retry_after.is_some() || failure.cause == Cause::RateLimited;
        self.last_error = Some(failure.message.clone());
        wait
    }

    /// Somebody started us anew, perhaps because what failed is mended: the wait is shortened, but
    /// not what the authority asked for, and not so far that a process which is restarted again and
    /// again asks each time. Gives whether anything changed.
    pub(crate) fn restarted(&mut self) -> bool {
        let soonest = self.failed_at.and_then(|at| at.checked_add(BETWEEN_RESTARTS));
        match (soonest, self.try_at) {
            (Some(soonest), Some(at)) if soonest < at && !self.is_asked => {
                self.try_at = Some(soonest);
                true
            }
            _ => false,
        }
    }

    /// Reads a record; `None` where it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if value.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let at = |key: &str| value.get(key).and_then(Value::as_u64).and_then(from_unix_s);
        let count = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0) as u32;
        let window = at("window_start_unix_s").zip(at("window_end_unix_s"));
        Some(Self {
            renew_at: at("renew_at_unix_s"),
            issued_at: at("issued_at_unix_s"),
            window: window.map(|(start, end)| Window { start, end }),
            ask_at: at("ask_at_unix_s"),
            failures: count("failures"),
            refusals: count("refusals"),
            failed_at: at("failed_at_unix_s"),
            try_at: at("try_at_unix_s"),
            is_asked: value.get("is_asked").and_then(Value::as_bool).unwrap_or(false),
            last_error: value.get("last_error").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// As it is stored.
    pub(crate) fn to_text(&self) -> String {
        let at = |moment: Option<SystemTime>| moment.map(unix_s);
        let value = json!({
            "version": VERSION,
            "renew_at_unix_s": at(self.renew_at),
            "issued_at_unix_s": at(self.issued_at),
            "window_start_unix_s": at(self.window.map(|window| window.start)),
            "window_end_unix_s": at(self.window.map(|window| window.end)),
            "ask_at_unix_s": at(self.ask_at),
            "failures": self.failures,
            "refusals": self.refusals,
            "failed_at_unix_s": at(self.failed_at),
            "try_at_unix_s": at(self.try_at),
            "is_asked": self.is_asked,
            "last_error": self.last_error,
        });
        format!("{value:#}\n")
    }
}

/// Of the file's form. One that a later Stead wrote is left to it.
const VERSION: u64 = 1;

/// Between a failure and the attempt that a start makes: thirty an hour at most.
const BETWEEN_RESTARTS: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> SystemTime {
        from_unix_s(seconds).expect("a moment")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut record = Record::issued(second(2_000), second(900));
        record.window = Some(Window { start: second(1_500), end: second(1_600) });
        record.ask_at = Some(second(1_400));
        record.fail(&Failure::new(Cause::Challenge, "no \"answer\""), 2, second(1_000));
        record.try_at = record.try_at.map(|at| second(unix_s(at)));
        assert_eq!(Record::parse(&record.to_text()), Some(record));
        let empty = Record::default();
        assert_eq!(Record::parse(&empty.to_text()), Some(empty));
    }

    #[test]
    fn what_is_torn_or_of_another_version_is_none() {
        for text in ["", "{", "[]", "{\"version\":2}", "{\"version\":\"1\"}", "null"] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
        let strange = "{\"version\":1,\"renew_at_unix_s\":18446744073709551615,\"failures\":-3}";
        assert_eq!(Record::parse(strange), Some(Record::default()));
    }

    /// They counted as proofs: a directory that was mistyped made the first proof wait for half an
    /// hour, and the other kind was not tried.
    #[test]
    fn what_failed_before_a_proof_is_no_failed_proof() {
        let mut record = Record::default();
        for _ in 0..5 {
            record.fail(&Failure::new(Cause::Passing, "no network"), 2, second(1_000));
        }
        let wait = record.fail(&Failure::new(Cause::Challenge, "closed port"), 2, second(1_000));
        assert!(wait < Duration::from_secs(4), "{wait:?}");
        assert_eq!((record.failures, record.refusals), (6, 1));
        let wait = record.fail(&Failure::new(Cause::Challenge, "closed port"), 2, second(1_000));
        assert!(wait > Duration::from_mins(7) && wait < Duration::from_mins(13), "{wait:?}");
    }

    #[test]
    fn a_restart_shortens_our_own_waits_and_no_others() {
        let mut record = Record::default();
        for _ in 0..5 {
            record.fail(&Failure::new(Cause::Challenge, "closed port"), 1, second(1_000));
        }
        assert!(record.try_at > Some(second(10_000)));
        assert!(record.restarted() && !record.restarted());
        assert_eq!(record.try_at, Some(second(1_120)));

        let limited = Failure::new(Cause::RateLimited, "too many");
        record.fail(&limited, 1, second(1_000));
        let held = record.try_at;
        assert!(!record.restarted());
        assert_eq!(record.try_at, held);
    }
}
