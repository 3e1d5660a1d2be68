//! How often something may happen: `"100/s"`, `"20/m"`, `"5/10s"`.

use crate::scalar::Form;
use crate::{Config, Decoder, Duration, Schema, TextForm, Value};
use stead_base::{format_duration, parse_duration};

/// A number of times in a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// How often, 1 to 1,000,000.
    pub count: u32,
    /// In how long, 1 ms to 1 d.
    pub per: Duration,
}

const FREQUENCY: TextForm = TextForm::new("frequency", "100/s")
    .pattern("^([0-9]+/([0-9]+(ms|s|m|h|d)|s|m|h|d)|.*\\$\\{.*)$");

/// More in a second than one machine answers.
const COUNT_MAX: u32 = 1_000_000;
const PER_MAX: Duration = Duration::from_hours(24);

impl Frequency {
    fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let is_number = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|_| is_number)?;
        let per = match per {
            "s" | "m" | "h" | "d" => parse_duration(&format!("1{per}")),
            per => parse_duration(per),
        };
        let per = per.ok().filter(|per| !per.is_zero() && *per <= PER_MAX)?;
        ((1..=COUNT_MAX).contains(&count)).then_some(Self { count, per })
    }
}

impl std::fmt::Display for Frequency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let per = format_duration(self.per);
        let per = per.strip_prefix('1').filter(|unit| matches!(*unit, "s" | "m" | "h" | "d"));
        match per {
            Some(unit) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{}", self.count, format_duration(self.per)),
        }
    }
}

impl Config for Frequency {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        Form { form: FREQUENCY, parse: &Self::parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(FREQUENCY)
    }
}

/// `100`, `100 / sec`, `100r/s` and `100 per minute` are how others write it.
fn meant(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, rest) = text.split_at(digits);
    let rest = rest.trim().trim_start_matches(['r', 'R']).trim_start();
    let rest = rest.strip_prefix("per").or(rest.strip_prefix('/')).unwrap_or(rest).trim();
    let unit = match rest.to_ascii_lowercase().as_str() {
        "" | "s" | "sec" | "second" | "seconds" | "ps" => "s",
        "m" | "min" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    };
    let meant = format!("{count}/{unit}");
    Frequency::parse(&meant).map(|_| meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn frequencies_are_read_and_written() {
        for text in ["100/s", "20/m", "5/10s", "1/d", "3/250ms", "1000000/h"] {
            assert_eq!(Frequency::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Frequency::parse("5/60s").expect("a minute").to_string(), "5/m");
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_to_write() {
        let check = |written: &str, help: &str| {
            let settings = Settings::parse(&format!("rate = {written}")).expect("TOML");
            let wrong = settings.decode::<Frequency>().expect_err(written);
            let told: Vec<_> = wrong.iter().filter_map(|wrong| wrong.help.as_deref()).collect();
            assert_eq!(told, [help], "{written}");
        };
        check("100", "write `\"100/s\"`");
        check("'100r/s'", "write `\"100/s\"`");
        check("'60 per minute'", "write `\"60/m\"`");
        check("'0/s'", "write `\"100/s\"`");
        check("'5/0s'", "write `\"100/s\"`");
        check("'5/2d'", "write `\"100/s\"`");
        check("'2000000/s'", "write `\"100/s\"`");
        check("'+5/s'", "write `\"100/s\"`");
        check("'often'", "write `\"100/s\"`");
    }
}
