//! How often something may happen, as a value: `"100/s"`, `"20/m"`, `"5/10s"`.

use stead_base::Frequency;

use crate::scalar::Form;
use crate::{Config, Decoder, Schema, TextForm, Value};

const FREQUENCY: TextForm = TextForm::new("frequency", "100/s")
    .pattern("^([0-9]+/([0-9]+(ms|s|m|h|d)|s|m|h|d)|.*\\$\\{.*)$");

impl Config for Frequency {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        Form { form: FREQUENCY, parse: &parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(FREQUENCY)
    }
}

fn parse(text: &str) -> Option<Frequency> {
    text.parse().ok()
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
    meant.parse::<Frequency>().is_ok().then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

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
