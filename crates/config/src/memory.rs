//! How much memory the process may use: `"auto"`, `"512MiB"`, `"80%"` or `"off"`.

use stead_base::ByteSize;

use crate::scalar::Form;
use crate::{Config, Decoder, Schema, TextForm, Value};

/// The memory that the process keeps within by giving way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBudget {
    /// What the control group and the machine allow.
    Auto,
    /// This much, and no more than `Auto`; at least 16 MiB.
    Size(ByteSize),
    /// This share of `Auto`, in percent, 1 to 100.
    Share(u8),
    /// Memory is not looked at.
    Off,
}

const FORM: TextForm = TextForm::new("memory budget", "512MiB")
    .pattern("^(auto|off|[0-9]+(B|[KMGT]i?B)|[0-9]+%|.*\\$\\{.*)$");

/// Less would not hold the program itself.
const SIZE_MIN: ByteSize = ByteSize(16 << 20);

impl MemoryBudget {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => return Some(Self::Auto),
            "off" => return Some(Self::Off),
            _ => {}
        }
        if let Some(share) = text.strip_suffix('%') {
            let share = share.parse().ok().filter(|share| (1..=100).contains(share))?;
            let is_plain = text.starts_with(|first: char| first.is_ascii_digit());
            return is_plain.then_some(Self::Share(share));
        }
        let size = text.parse().ok().filter(|size| *size >= SIZE_MIN)?;
        Some(Self::Size(size))
    }
}

impl std::fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Size(size) => write!(f, "{size}"),
            Self::Share(share) => write!(f, "{share}%"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Config for MemoryBudget {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        Form { form: FORM, parse: &Self::parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(FORM)
    }
}

/// `512M`, `2g` and `80 %` are how others write it; less than the least is the least.
fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, rest) = text.split_at(digits);
    let unit = match rest.trim().to_ascii_lowercase().as_str() {
        "%" => "%",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return None,
    };
    let meant = format!("{count}{unit}");
    match MemoryBudget::parse(&meant) {
        Some(_) => Some(meant),
        None if unit == "%" => None,
        None => Some(SIZE_MIN.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn budgets_are_read_and_written() {
        for text in ["auto", "off", "512MiB", "16MiB", "2GB", "1%", "100%"] {
            assert_eq!(MemoryBudget::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_to_write() {
        let check = |written: &str, help: &str| {
            let settings = Settings::parse(&format!("memory = {written}")).expect("TOML");
            let wrong = settings.decode::<MemoryBudget>().expect_err(written);
            let told: Vec<_> = wrong.iter().filter_map(|wrong| wrong.help.as_deref()).collect();
            assert_eq!(told, [help], "{written}");
        };
        check("512", "write `\"512MiB\"`");
        check("'512M'", "write `\"512MiB\"`");
        check("'2g'", "write `\"2GiB\"`");
        check("'80 %'", "write `\"80%\"`");
        check("'8MiB'", "write `\"16MiB\"`");
        check("'0%'", "write `\"512MiB\"`");
        check("'101%'", "write `\"512MiB\"`");
        check("'+5%'", "write `\"512MiB\"`");
        check("'much'", "write `\"512MiB\"`");
    }
}
