//! How often something may happen: `"100/s"`, `"20/m"`, `"5/10s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{ParseUnitError, format_duration, parse_duration};

/// A number of times in a length of time.
///
/// ```
/// # use stead_base as stead;
/// use stead::Frequency;
/// use std::time::Duration;
///
/// assert_eq!("20/m".parse(), Ok(Frequency { count: 20, per: Duration::from_secs(60) }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// How often, 1 to 1,000,000.
    pub count: u32,
    /// In how long, 1 ms to 1 d.
    pub per: Duration,
}

/// More in a second than one machine answers.
const COUNT_MAX: u32 = 1_000_000;
const PER_MAX: Duration = Duration::from_hours(24);

impl FromStr for Frequency {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, ParseUnitError> {
        let wanted = "a number of times in a time, such as \"100/s\" or \"5/10s\"";
        parse(text).ok_or_else(|| ParseUnitError(wanted.to_owned()))
    }
}

fn parse(text: &str) -> Option<Frequency> {
    let (count, per) = text.split_once('/')?;
    let is_number = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse().ok().filter(|_| is_number)?;
    let per = match per {
        "s" | "m" | "h" | "d" => parse_duration(&format!("1{per}")),
        per => parse_duration(per),
    };
    let per = per.ok().filter(|per| !per.is_zero() && *per <= PER_MAX)?;
    ((1..=COUNT_MAX).contains(&count)).then_some(Frequency { count, per })
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = format_duration(self.per);
        let per = per.strip_prefix('1').filter(|unit| matches!(*unit, "s" | "m" | "h" | "d"));
        match per {
            Some(unit) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{}", self.count, format_duration(self.per)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_read_and_written() {
        for text in ["100/s", "20/m", "5/10s", "1/d", "3/250ms", "1000000/h"] {
            assert_eq!(text.parse::<Frequency>().expect(text).to_string(), text);
        }
        assert_eq!("5/60s".parse::<Frequency>().expect("a minute").to_string(), "5/m");
    }
}
