//! Which records are written, where not all of them are.
//!
//! The decision is made when an exchange has ended, so that what failed or took long is always
//! there. A record says how many it stands for: the sum of these is the count of exchanges.

use std::time::Duration;

use super::Record;

/// Which records are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// One of so many; at least 1.
    pub one_in: u32,
    /// Classes of statuses that are always written: the first is 1xx, the last 5xx.
    pub classes: [bool; 5],
    /// Whether answers that were cut are always written.
    pub cut: bool,
    /// Exchanges that took so long are always written.
    pub slow: Option<Duration>,
}

impl Sampling {
    /// How many exchanges a record stands for, if it is written at all. Requests of one given
    /// `request_id` are decided alike, on whatever worker or machine.
    pub(super) fn pick(&self, record: &Record<'_>, random: impl FnOnce() -> u64) -> Option<u32> {
        if self.is_always_written(record) {
            return Some(1);
        }
        let number = record.exchange.given_request_id().map_or_else(random, digest);
        number.is_multiple_of(u64::from(self.one_in.max(1))).then_some(self.one_in)
    }

    fn is_always_written(&self, record: &Record<'_>) -> bool {
        let class = usize::from(record.status / 100).checked_sub(1);
        class.and_then(|class| self.classes.get(class)).is_some_and(|always| *always)
            || self.slow.is_some_and(|slow| record.duration >= slow)
            || (self.cut && record.is_cut())
    }
}

/// FNV-1a (Fowler, Noll, Vo), its bits mixed once more: it must be the same everywhere and always.
fn digest(id: &str) -> u64 {
    let fnv = id.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spread_evenly_and_always_alike() {
        let picked = (0..100_000).filter(|n| digest(&format!("{n:032x}")).is_multiple_of(100));
        let picked = picked.count();
        assert!((900..1100).contains(&picked), "{picked} of 100000 for one in 100");
        assert_eq!(digest("0123456789abcdef"), digest("0123456789abcdef"));
    }
}
