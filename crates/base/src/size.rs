//! Quantities with units: sizes, rates and durations, as people write them.
//!
//! `"16KiB"` is 1024-based, `"16KB"` 1000-based; `"240B/s"` is a rate; `"10s"`, `"250ms"`, `"1h"`
//! and
//! `"7d"` are durations. A number without a unit is refused: the error says what to write.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
///
/// ```
/// # use stead_base as stead;
/// use stead::ByteSize;
///
/// assert_eq!("16KiB".parse(), Ok(ByteSize(16 << 10)));
/// assert_eq!(ByteSize(1_000_000).to_string(), "1MB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A number of bytes per second.
///
/// ```
/// # use stead_base as stead;
/// use stead::Rate;
///
/// assert_eq!("240B/s".parse(), Ok(Rate(240)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// Why a quantity could not be read; its text says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseUnitError(pub String);

impl fmt::Display for ParseUnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseUnitError {}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl std::str::FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, ParseUnitError> {
        parse_quantity(text, SIZE_UNITS, "a size with its unit, such as \"16KiB\" or \"1MB\"")
            .map(Self)
    }
}

impl std::str::FromStr for Rate {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, ParseUnitError> {
        let wanted = "a rate with its unit, such as \"240B/s\" or \"1MiB/s\"";
        let size = text.strip_suffix("/s").ok_or_else(|| ParseUnitError(wanted.to_owned()))?;
        parse_quantity(size, SIZE_UNITS, wanted).map(Self)
    }
}

/// Reads a duration: a decimal number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// A number without a unit, an unknown unit, or more milliseconds than 64 bits hold.
pub fn parse_duration(text: &str) -> Result<Duration, ParseUnitError> {
    parse_quantity(text, DURATION_UNITS, "a duration with its unit, such as \"10s\" or \"250ms\"")
        .map(Duration::from_millis)
}

/// Writes a duration the way [`parse_duration`] reads it, in the largest unit that divides it.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, size) = largest_divisor(millis, DURATION_UNITS).unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / size)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = largest_divisor(self.0, SIZE_UNITS).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", ByteSize(self.0))
    }
}

fn largest_divisor(
    value: u64,
    units: &'static [(&'static str, u64)],
) -> Option<(&'static str, u64)> {
    units
        .iter()
        .copied()
        .filter(|(_, size)| value != 0 && value.is_multiple_of(*size))
        .max_by_key(|(_, size)| *size)
}

fn parse_quantity(text: &str, units: &[(&str, u64)], wanted: &str) -> Result<u64, ParseUnitError> {
    let error = || ParseUnitError(wanted.to_owned());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| error())?;
    let size = units.iter().find(|(name, _)| *name == unit).ok_or_else(error)?.1;
    number.checked_mul(size).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_the_two_bases_apart() {
        assert_eq!("16KiB".parse(), Ok(ByteSize(16_384)));
        assert_eq!("16KB".parse(), Ok(ByteSize(16_000)));
        assert_eq!("240B/s".parse(), Ok(Rate(240)));
        assert_eq!(ByteSize(16_384).to_string(), "16KiB");
        assert_eq!(ByteSize(16_000).to_string(), "16KB");
        assert_eq!(Rate(240).to_string(), "240B/s");
        for wrong in ["", "16", "KiB", "16kib", "1.5MB", "-1B", "99999999999TiB", "16KiB "] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_round_trip() {
        for text in ["10s", "250ms", "75s", "1h", "7d", "0s", "90s", "5m"] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
        }
        assert!(parse_duration("10").is_err() && parse_duration("10 s").is_err());
    }
}
