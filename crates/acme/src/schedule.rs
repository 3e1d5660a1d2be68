//! When a certificate is renewed.
//!
//! After two thirds of its life, a little earlier at random so that what was issued together is not
//! renewed together; or in the window that the authority suggests (RFC 9773 §4.2), at a moment
//! chosen once. Never right after it was issued.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

/// A span of time in which the authority wants to be asked for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

/// When to renew what is valid from `not_before` to `not_after`; `chance` in 0 to 1.
pub(crate) fn renewal(not_before: SystemTime, not_after: SystemTime, chance: f64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let earlier = life.mul_f64(chance.clamp(0.0, 1.0) / 30.0);
    not_before + (life * 2 / 3).saturating_sub(earlier)
}

/// A moment of the window, `chance` in 0 to 1, but before the certificate's last tenth: a window
/// that lies behind its end must not let it expire.
pub(crate) fn within(
    window: Window,
    not_before: SystemTime,
    not_after: SystemTime,
    chance: f64,
) -> SystemTime {
    let length = window.end.duration_since(window.start).unwrap_or_default();
    let chosen = window.start.checked_add(length.mul_f64(chance.clamp(0.0, 1.0)));
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let last = not_before + life.mul_f64(0.9);
    chosen.map_or(last, |chosen| chosen.min(last))
}

/// The least time between two certificates of one host: a tenth of the life within an hour and a
/// day and a half, which stays below the five certificates a week that Let's Encrypt allows; but
/// never more than half the life, so that a short one is renewed in time.
pub(crate) fn between_orders(not_before: SystemTime, not_after: SystemTime) -> Duration {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    (life / 10).clamp(BETWEEN_MIN, BETWEEN_MAX).min(life / 2).max(BETWEEN_EVER)
}

const BETWEEN_MIN: Duration = Duration::from_hours(1);
const BETWEEN_MAX: Duration = Duration::from_hours(36);
/// However short a life is.
const BETWEEN_EVER: Duration = Duration::from_secs(5);

/// A number in 0 to 1 that nobody can foretell well enough to matter: it spreads load.
pub(crate) fn chance() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Whole seconds since 1970, as records keep moments.
pub(crate) fn unix_s(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The moment that a record keeps; one that no clock can show is none.
pub(crate) fn from_unix_s(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn day(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY)
    }

    #[test]
    fn two_thirds_of_the_life_and_up_to_a_thirtieth_earlier() {
        assert_eq!(renewal(day(100), day(190), 0.0), day(160));
        assert_eq!(renewal(day(100), day(190), 1.0), day(157));
        // Of six days, of none, of less than none.
        assert_eq!(renewal(day(100), day(106), 0.0), day(104));
        assert_eq!(renewal(day(100), day(100), 1.0), day(100));
        assert_eq!(renewal(day(100), day(99), 1.0), day(100));
    }

    #[test]
    fn between_two_certificates_lies_a_part_of_the_life() {
        let between =
            |life_s: u64| between_orders(day(0), day(0) + Duration::from_secs(life_s)).as_secs();
        assert_eq!(between(90 * DAY), 36 * 3_600);
        assert_eq!(between(6 * DAY), 51_840);
        assert_eq!((between(5 * 3_600), between(3_600)), (3_600, 1_800));
        assert_eq!((between(12), between(3), between(0)), (6, 5, 5));
    }

    #[test]
    fn the_window_decides_but_never_past_the_end() {
        let window = Window { start: day(150), end: day(160) };
        assert_eq!(within(window, day(100), day(190), 0.0), day(150));
        assert_eq!(within(window, day(100), day(190), 0.5), day(155));
        let late = Window { start: day(500), end: day(600) };
        assert_eq!(within(late, day(100), day(200), 0.5), day(190));
        let inverted = Window { start: day(150), end: day(140) };
        assert_eq!(within(inverted, day(100), day(190), 0.9), day(150));
    }

    #[test]
    fn chances_lie_between_none_and_one_and_differ() {
        let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance < 0.5));
        assert!(chances.iter().any(|chance| *chance >= 0.5));
    }
}
