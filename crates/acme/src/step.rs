//! What is to be done for a host now, by what is stored of it and the clock.
//!
//! Order where there is no certificate, or where its renewal is due; ask the authority for its
//! window from time to time; else wait. INVARIANT: two certificates are issued no sooner after each
//! other than [`between_orders`], whatever the clock, the authority or the certificate says.

use std::time::{Duration, SystemTime};

use crate::certificate::Certificate;
use crate::failure::ASKED_MAX;
use crate::record::Record;
use crate::schedule::between_orders;

/// What to do for a host.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Order,
    Ask,
    Wait(Duration),
}

/// The store is looked at this often, for what another process renewed, and so is the clock.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

pub(crate) fn next(certificate: Option<&Certificate>, record: &Record, now: SystemTime) -> Step {
    let left = |until: Option<SystemTime>| {
        let until = until.unwrap_or(SystemTime::UNIX_EPOCH);
        // A clock that was set back must not make a wait longer than any that is asked for.
        until.duration_since(now).unwrap_or_default().min(ASKED_MAX * 2)
    };
    let until_tried = left(record.try_at);
    let until_due = match certificate {
        None => until_tried,
        Some(certificate) => left(due(certificate, record, now)).max(until_tried),
    };
    if until_due.is_zero() {
        return Step::Order;
    }
    let until_asked = certificate.map(|_| left(record.ask_at));
    match until_asked {
        // One that failed is tried at its time, whatever the authority would say now.
        Some(Duration::ZERO) if record.failures == 0 => Step::Ask,
        Some(asked) if record.failures == 0 => Step::Wait(until_due.min(asked).min(LOOK_AGAIN)),
        _ => Step::Wait(until_due.min(LOOK_AGAIN)),
    }
}

/// When the certificate is renewed: at its time, but not right after it was issued, as a clock far
/// ahead would have it, or a window that stays in the past.
pub(crate) fn due(
    certificate: &Certificate,
    record: &Record,
    now: SystemTime,
) -> Option<SystemTime> {
    // What was issued in the future was issued before the clock was set right.
    let issued_at = record.issued_at.filter(|at| *at <= now);
    let rest = between_orders(certificate.not_before(), certificate.not_after());
    let soonest = issued_at.and_then(|at| at.checked_add(rest));
    record.renew_at.max(soonest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{from_unix_s, renewal};
    use crate::tests::issued;

    const DAY: u64 = 24 * 60 * 60;

    fn second(seconds: u64) -> SystemTime {
        from_unix_s(seconds).expect("a moment")
    }

    /// A certificate that was issued at `now` by a clock that another one disagrees with.
    fn check(life_s: u64, issued_at: u64, since: u64, expected: &Step) {
        let from = 1_000 * DAY;
        let pem = issued("a.example", from, from + life_s);
        let certificate = Certificate::parse(&pem, "a.example").expect("parses");
        let renew_at = renewal(certificate.not_before(), certificate.not_after(), 0.0);
        let mut record = Record::issued(renew_at, second(issued_at));
        record.ask_at = Some(second(5_000 * DAY));
        let step = next(Some(&certificate), &record, second(issued_at + since));
        assert_eq!(step, *expected, "life {life_s} issued {issued_at} since {since}");
    }

    #[test]
    fn a_clock_far_ahead_does_not_order_all_the_time() {
        // Past two thirds of the life, and past its end.
        for ahead in [70, 400] {
            let now = (1_000 + ahead) * DAY;
            check(90 * DAY, now, 0, &Step::Wait(LOOK_AGAIN));
            check(90 * DAY, now, 36 * 3_600 - 1, &Step::Wait(Duration::from_secs(1)));
            check(90 * DAY, now, 36 * 3_600, &Step::Order);
        }
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_hold_a_renewal_up() {
        let pem = issued("a.example", 1_000 * DAY, 1_090 * DAY);
        let certificate = Certificate::parse(&pem, "a.example").expect("parses");
        let record = Record::issued(second(1_060 * DAY), second(9_000 * DAY));
        assert_eq!(next(Some(&certificate), &record, second(1_061 * DAY)), Step::Order);
    }

    #[test]
    fn a_short_life_is_renewed_in_time() {
        let from = 1_000 * DAY;
        for life_s in [12, 3_600, DAY, 6 * DAY, 90 * DAY] {
            check(life_s, from, life_s * 2 / 3, &Step::Order);
        }
        // Of three seconds: nobody orders each second.
        check(3, from, 3, &Step::Wait(Duration::from_secs(2)));
        check(3, from, 5, &Step::Order);
    }
}
