//! Certificates that come near their end though they should have been renewed, and how often the
//! log says so.
//!
//! A third of the life is left when renewals begin, and a tenth when the latest of them should:
//! whoever fails in between is near the end, and whoever is behind it in any case. Of long lives
//! the last 21 days count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::certificate::Certificate;
use crate::record::Record;

/// Whether the certificate is near its end, or past it.
pub(crate) fn ends_soon(certificate: &Certificate, record: &Record, now: SystemTime) -> bool {
    let life = life(certificate);
    let left = certificate.not_after().duration_since(now).unwrap_or_default();
    left <= NEAR_MAX.min(life / 3) && (record.failures > 0 || left <= life / 10)
}

/// Before the end; less where a third of the life is less.
const NEAR_MAX: Duration = Duration::from_hours(21 * 24);

/// When each host's end was announced last.
#[derive(Debug, Default)]
pub(crate) struct Announced(Mutex<HashMap<String, SystemTime>>);

impl Announced {
    /// Says in the log that the certificate of `host` ends, if that was not said lately.
    pub(crate) fn announce(
        &self,
        host: &str,
        certificate: &Certificate,
        record: &Record,
        now: SystemTime,
    ) {
        if !self.is_due(host, between(certificate), now) {
            return;
        }
        let why = record.last_error.as_deref().unwrap_or("it was not renewed in time");
        match certificate.not_after().duration_since(now) {
            Ok(left) if !left.is_zero() => {
                tracing::warn!("the certificate of {host} ends in {}: {why}", rounded(left));
            }
            _ => tracing::error!("the certificate of {host} has expired: {why}"),
        }
    }

    /// The certificate is not near its end any more.
    pub(crate) fn forget(&self, host: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }

    fn is_due(&self, host: &str, between: Duration, now: SystemTime) -> bool {
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = announced.get(host).and_then(|last| now.duration_since(*last).ok());
        let is_due = last.is_none_or(|since| since >= between);
        if is_due {
            announced.insert(host.to_owned(), now);
        }
        is_due
    }
}

/// Once a day, of short lives more often.
fn between(certificate: &Certificate) -> Duration {
    (life(certificate) / 30).clamp(Duration::from_mins(10), Duration::from_hours(24))
}

fn life(certificate: &Certificate) -> Duration {
    certificate.not_after().duration_since(certificate.not_before()).unwrap_or_default()
}

/// In the largest unit of which there are two.
fn rounded(left: Duration) -> String {
    let left = left.as_secs();
    let unit = [24 * 3_600, 3_600, 60].into_iter().find(|unit| left >= 2 * unit).unwrap_or(1);
    stead_base::format_duration(Duration::from_secs(left / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::from_unix_s;
    use crate::tests::issued;

    const DAY: u64 = 24 * 3_600;

    fn of_life(life_s: u64) -> Certificate {
        let pem = issued("a.example", 1_000 * DAY, 1_000 * DAY + life_s);
        Certificate::parse(&pem, "a.example").expect("parses")
    }

    #[test]
    fn who_fails_is_near_the_end_in_the_last_third_and_everybody_in_the_last_tenth() {
        // Of each life: what is left where one that fails comes near its end, and any other.
        for (life, failing, any) in [
            (90 * DAY, 21 * DAY, 9 * DAY),
            (45 * DAY, 15 * DAY, 9 * DAY / 2),
            (6 * DAY, 2 * DAY, 6 * DAY / 10),
            (3_600, 1_200, 360),
        ] {
            let certificate = of_life(life);
            let ends = |failures, left_s| {
                let now = certificate.not_after() - Duration::from_secs(left_s);
                ends_soon(&certificate, &Record { failures, ..Record::default() }, now)
            };
            assert!(ends(1, failing) && !ends(1, failing + 1), "{life}");
            assert!(ends(0, any) && !ends(0, any + 1), "{life}");
            assert!(ends(0, 0));
        }
        let expired = from_unix_s(2_000 * DAY).expect("a moment");
        assert!(ends_soon(&of_life(90 * DAY), &Record::default(), expired));
    }

    #[test]
    fn an_end_is_announced_once_a_day_and_of_short_lives_more_often() {
        let (announced, now) = (Announced::default(), of_life(1).not_after());
        for (host, life, between_s) in
            [("a", 90 * DAY, DAY), ("b", 6 * DAY, DAY / 5), ("c", 60, 600)]
        {
            let every = between(&of_life(life));
            let at = |seconds| announced.is_due(host, every, now + Duration::from_secs(seconds));
            assert!(at(0) && !at(between_s - 1) && at(between_s) && !at(between_s + 1), "{host}");
            // After a renewal another end is told at once.
            announced.forget(host);
            assert!(at(between_s + 2), "{host}");
        }
    }

    #[test]
    fn what_is_left_is_told_in_a_round_number() {
        let told = |seconds| rounded(Duration::from_secs(seconds));
        assert_eq!(told(20 * DAY + 5), "20d");
        assert_eq!([told(DAY + 7_205), told(7_199), told(61)], ["26h", "119m", "61s"]);
    }
}
