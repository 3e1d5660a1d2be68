//! How the plain types are decoded: booleans, numbers, strings, quantities, paths, lists and maps.
//!
//! Each wrong value is answered with what to write. A string that came out of the environment may
//! stand for a number or a boolean, and its text is never quoted in a message.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stead_base::{ByteSize, Rate, parse_duration};

use crate::schema::quoted;
use crate::value::{Content, Text};
use crate::{Config, Decoder, Diagnostic, Duration, Schema, Span, Spanned, TextForm, Value};

impl Config for bool {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &value.content {
            Content::Boolean(boolean) => return Some(*boolean),
            Content::Text(text) => match text.value.as_str() {
                "true" if text.expanded => return Some(true),
                "false" if text.expanded => return Some(false),
                "true" | "false" if !text.expanded => {
                    let help = format!("write `{}`", text.value);
                    decoder.wrong_type(value, &Self::schema(), Some(help));
                    return None;
                }
                _ => {}
            },
            _ => {}
        }
        decoder.wrong_type(value, &Self::schema(), Some("write `true` or `false`".to_owned()));
        None
    }

    fn schema() -> Schema {
        Schema::Boolean
    }
}

/// The integer that a value is or stands for; reports what is wrong otherwise.
fn integer(value: &Value, schema: &Schema, decoder: &mut Decoder<'_>) -> Option<i64> {
    let help = match &value.content {
        Content::Integer(number) => return Some(*number),
        Content::Text(text) => match text.value.parse::<i64>() {
            Ok(number) if text.expanded => return Some(number),
            Ok(number) => Some(format!("write `{number}`")),
            Err(_) => None,
        },
        Content::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Some(format!("write `{}`", *number as i64))
        }
        _ => None,
    };
    decoder.wrong_type(value, schema, help);
    None
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Config for $type {
            fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
                let number = integer(value, &Self::schema(), decoder)?;
                let fits = Self::try_from(number).ok();
                if fits.is_none() {
                    let (min, max) = (i64::try_from(<$type>::MIN), i64::try_from(<$type>::MAX));
                    let (min, max) = (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
                    let message = format!("`{}` must lie between {min} and {max}", decoder.key());
                    let nearest = if number < min { min } else { max };
                    let help = format!("write `{nearest}`");
                    decoder.report(Diagnostic::error(value.span, message).help(help));
                }
                fits
            }

            fn schema() -> Schema {
                Schema::integer(
                    i64::try_from(<$type>::MIN).unwrap_or(i64::MIN),
                    i64::try_from(<$type>::MAX).unwrap_or(i64::MAX),
                )
            }

            fn magnitude(&self) -> Option<i128> {
                Some(i128::from(*self))
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 i64);

impl Config for String {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        text(value, &Self::schema(), decoder).map(|text| text.value.clone())
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::PLAIN)
    }
}

/// The string that a value is; reports what to write where it is something else.
pub(crate) fn text<'v>(
    value: &'v Value,
    schema: &Schema,
    decoder: &mut Decoder<'_>,
) -> Option<&'v Text> {
    let help = match &value.content {
        Content::Text(text) => return Some(text),
        Content::Integer(_) | Content::Float(_) | Content::Boolean(_) | Content::Time(_) => {
            Some(format!("write `{}`", quoted(decoder.sources().slice(value.span))))
        }
        _ => None,
    };
    decoder.wrong_type(value, schema, help);
    None
}

/// A string in a form of its own: a quantity, an address.
pub(crate) struct Form<'a, T> {
    /// The form.
    pub(crate) form: TextForm,
    /// Reads it; the error says what is wrong with the text, as in "`x` is no duration".
    pub(crate) parse: &'a dyn Fn(&str) -> Option<T>,
    /// What was probably meant by a text that cannot be read.
    pub(crate) meant: &'a dyn Fn(&str) -> Option<String>,
}

impl<T> Form<'_, T> {
    pub(crate) fn decode(&self, value: &Value, decoder: &mut Decoder<'_>) -> Option<T> {
        let schema = Schema::Text(self.form);
        let text = match &value.content {
            Content::Integer(number) => {
                self.bare_number(*number, value.span, &schema, decoder);
                return None;
            }
            Content::Text(text) => text,
            _ => {
                decoder.wrong_type(value, &schema, None);
                return None;
            }
        };
        let parsed = (self.parse)(&text.value);
        if parsed.is_none() {
            // SECURITY: what came out of the environment is not shown; what stands here is.
            let stands_here =
                text.expanded && crate::expand::of_defaults(text.written()) == text.value;
            let is_known = !text.expanded || stands_here;
            let meant = is_known.then(|| (self.meant)(&text.value)).flatten();
            let help = quoted(meant.as_deref().unwrap_or(self.form.example));
            let mut message = format!("{} is not {}", quoted(text.written()), schema.describe());
            if stands_here {
                message = format!("{message}: it stands for {}", quoted(&text.value));
            }
            decoder.report(Diagnostic::error(value.span, message).help(format!("write `{help}`")));
        }
        parsed
    }

    fn bare_number(&self, number: i64, span: Span, schema: &Schema, decoder: &mut Decoder<'_>) {
        let key = decoder.key().to_owned();
        let message = match number {
            ..0 => format!("`{key}` cannot be negative"),
            _ => format!("`{key}` takes {}, not a bare number", schema.describe()),
        };
        let meant = (self.meant)(&number.to_string()).filter(|_| number > 0);
        let help = quoted(meant.as_deref().unwrap_or(self.form.example));
        decoder.report(Diagnostic::error(span, message).help(format!("write `{help}`")));
    }
}

impl Config for Duration {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let parse = |text: &str| parse_duration(text).ok();
        let meant = |text: &str| {
            let simple = meant_quantity(text, DURATION_UNITS, "s");
            simple.filter(|meant| parse_duration(meant).is_ok()).or_else(|| meant_duration(text))
        };
        Form { form: TextForm::DURATION, parse: &parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::DURATION)
    }

    fn magnitude(&self) -> Option<i128> {
        i128::try_from(self.as_millis()).ok()
    }
}

impl Config for ByteSize {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let parse = |text: &str| text.parse().ok();
        Form { form: TextForm::SIZE, parse: &parse, meant: &meant_size }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::SIZE)
    }

    fn magnitude(&self) -> Option<i128> {
        Some(i128::from(self.0))
    }
}

impl Config for Rate {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let parse = |text: &str| text.parse().ok();
        let meant = |text: &str| {
            let size = text.strip_suffix("ps").or_else(|| text.split('/').next()).unwrap_or(text);
            Some(format!("{}/s", meant_size(size)?))
        };
        Form { form: TextForm::RATE, parse: &parse, meant: &meant }.decode(value, decoder)
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::RATE)
    }

    fn magnitude(&self) -> Option<i128> {
        Some(i128::from(self.0))
    }
}

/// Units as people write them, beside the ones that count.
const DURATION_UNITS: &[(&str, &str)] = &[
    ("ms", "ms msec msecs millis millisecond milliseconds"),
    ("s", "s sec secs second seconds"),
    ("m", "m min mins minute minutes"),
    ("h", "h hr hrs hour hours"),
    ("d", "d day days"),
];

/// Seconds of each of [`DURATION_UNITS`].
const DURATION_SECONDS: &[f64] = &[0.001, 1.0, 60.0, 3600.0, 86_400.0];

const SIZE_UNITS: &[(&str, &str)] = &[
    ("B", "b byte bytes"),
    ("KiB", "k kib"),
    ("MiB", "m mib"),
    ("GiB", "g gib"),
    ("TiB", "t tib"),
    ("KB", "kb"),
    ("MB", "mb"),
    ("GB", "gb"),
    ("TB", "tb"),
];

fn meant_size(text: &str) -> Option<String> {
    if let Some(meant) = meant_quantity(text, SIZE_UNITS, "B") {
        return Some(meant.parse::<ByteSize>().ok()?.to_string());
    }
    let (number, word, rest) = number_and_word(text.trim())?;
    let one = meant_quantity(&format!("1{word}"), SIZE_UNITS, "B")?.parse::<ByteSize>().ok()?;
    let bytes = number * one.0 as f64;
    let fits = rest.is_empty() && (1.0..1e15).contains(&bytes);
    fits.then(|| ByteSize(bytes as u64).to_string())
}

/// `1h30m` → `90m`, `1.5s` → `1500ms`, `1w` → `7d`: one whole number of the largest unit that fits.
fn meant_duration(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let (mut rest, mut seconds) = (lower.as_str(), 0.0);
    while !rest.is_empty() {
        let (number, word, more) = number_and_word(rest)?;
        let known = |words: &str| words.split(' ').any(|known| known == word);
        let of_word = |(_, words, unit): &(&str, &str, f64)| known(words).then_some(*unit);
        let units = DURATION_UNITS.iter().zip(DURATION_SECONDS);
        let mut units = units.map(|((unit, words), seconds)| (*unit, *words, *seconds));
        let mut longer =
            [("w", "w week weeks", 604_800.0), ("y", "y yr yrs year years", 31_536_000.0)]
                .into_iter();
        let unit = units.find_map(|unit| of_word(&unit));
        seconds += number * unit.or_else(|| longer.find_map(|unit| of_word(&unit)))?;
        rest = more.trim_start();
    }
    let millis = seconds * 1000.0;
    if !(1.0..1e15).contains(&millis) || (millis - millis.round()).abs() > 1e-6 {
        return None;
    }
    let millis = millis.round() as u64;
    let units = DURATION_UNITS.iter().zip(DURATION_SECONDS).rev();
    let fits = units.map(|((unit, _), seconds)| (unit, (seconds * 1000.0) as u64));
    let (unit, size) = fits.into_iter().find(|(_, size)| millis.is_multiple_of(*size))?;
    Some(format!("{}{unit}", millis / size))
}

/// Takes `1.5 word` off the front of a text.
fn number_and_word(text: &str) -> Option<(f64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(letters);
    Some((number.parse().ok()?, word, rest))
}

/// `10 sec` → `10s`; a number alone gets `unit`.
fn meant_quantity(text: &str, units: &[(&str, &str)], unit: &str) -> Option<String> {
    let text = text.trim();
    let (number, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let word = rest.trim().to_ascii_lowercase();
    let known = |words: &str| words.split(' ').any(|known| known == word);
    let unit = match word.as_str() {
        "" => unit,
        _ => units.iter().find(|(_, words)| known(words))?.0,
    };
    // Zero is refused wherever a quantity counts.
    let counts = number.bytes().any(|digit| digit != b'0');
    counts.then(|| format!("{number}{unit}"))
}

impl Config for PathBuf {
    /// A relative path starts from the directory of the file that names it.
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = text(value, &Self::schema(), decoder)?;
        if text.value.is_empty() || text.value.contains('\0') {
            let message = format!("`{}` takes a path", decoder.key());
            let help = "write `\".\"` for the directory of this file";
            decoder.report(Diagnostic::error(value.span, message).help(help));
            return None;
        }
        Some(decoder.sources().directory(value.span.file).join(&text.value))
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::PATH)
    }
}

impl<T: Config> Config for Option<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(value, decoder).map(Some)
    }

    fn schema() -> Schema {
        T::schema()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn magnitude(&self) -> Option<i128> {
        self.as_ref().and_then(T::magnitude)
    }
}

impl<T: Config> Config for Spanned<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(value, decoder).map(|decoded| Self::new(decoded, value.span))
    }

    fn schema() -> Schema {
        T::schema()
    }

    fn magnitude(&self) -> Option<i128> {
        self.value.magnitude()
    }
}

impl<T: Config> Config for Vec<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(items) = value.as_list() else {
            let help = match &value.content {
                Content::Text(_) => Some(format!("write `[{}]`", crate::print::value(value))),
                _ => None,
            };
            decoder.wrong_type(value, &Self::schema(), help);
            return None;
        };
        // A wrong item was reported and is left out: the others are still looked at.
        Some(items.iter().filter_map(|item| T::decode(item, decoder)).collect())
    }

    fn schema() -> Schema {
        Schema::List(Box::new(T::schema()))
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Config> Config for OneOrMany<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        match value.as_list() {
            Some(_) => Vec::decode(value, decoder).map(Self),
            None => T::decode(value, decoder).map(|one| Self(vec![one])),
        }
    }

    fn schema() -> Schema {
        Schema::OneOf(vec![T::schema(), Schema::List(Box::new(T::schema()))])
    }
}

/// Tables of one type by name, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Map<T> {
    /// The names with their values, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<String>, T)> {
        self.0.iter()
    }

    /// The value of a name.
    pub fn named(&self, name: &str) -> Option<&T> {
        self.iter().find(|(known, _)| known.value == name).map(|(_, value)| value)
    }
}

impl<'a, T> IntoIterator for &'a Map<T> {
    type Item = &'a (Spanned<String>, T);
    type IntoIter = std::slice::Iter<'a, (Spanned<String>, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Config> Config for Map<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(table) = value.as_table() else {
            let schema = Self::schema();
            let help = format!("write `{{ name = {} }}`", T::schema().example());
            decoder.wrong_type(value, &schema, Some(help));
            return None;
        };
        let decode = |entry: &crate::Entry| {
            if lacks_name::<T>(entry) {
                let message = format!("`{}` stands where a name belongs", entry.key.name);
                let help = format!("give the table a name, as in `{}.main`", decoder.key());
                decoder.report(Diagnostic::error(entry.key.span, message).help(help));
                return None;
            }
            let name = Spanned::new(entry.key.name.clone(), entry.key.span);
            let inner = decoder.within(&name.value, |decoder| T::decode(&entry.value, decoder))?;
            Some((name, inner))
        };
        Some(Self(table.entries().iter().filter_map(decode).collect()))
    }

    fn schema() -> Schema {
        Schema::Map(Box::new(T::schema()))
    }
}

/// Whether a key of the inner table stands in the outer one, where its name was forgotten.
fn lacks_name<T: Config>(entry: &crate::Entry) -> bool {
    if entry.value.as_table().is_some() {
        return false;
    }
    let Schema::Table(inner) = T::schema() else { return false };
    let is_key = inner.fields.iter().any(|field| field.field.name == entry.key.name);
    is_key && inner.shorthand.is_none()
}

impl<T: Config> Config for BTreeMap<String, T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let entries = Map::<T>::decode(value, decoder)?.0;
        Some(entries.into_iter().map(|(name, value)| (name.value, value)).collect())
    }

    fn schema() -> Schema {
        Schema::Map(Box::new(T::schema()))
    }
}

/// A limit that `"off"` lifts. Zero is refused: it reads as "none", and would mean "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Off<T>(pub Option<T>);

impl<T: Config> Config for Off<T> {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        if value.as_str() == Some("off") {
            return Some(Self(None));
        }
        if is_meant_off(value) {
            let message = format!("`{}` is lifted by \"off\"", decoder.key());
            decoder.report(Diagnostic::error(value.span, message).help("write `\"off\"`"));
            return None;
        }
        let zero = match &value.content {
            Content::Integer(number) => *number == 0,
            Content::Text(text) => !text.value.is_empty() && text.value.bytes().all(|b| b == b'0'),
            _ => false,
        };
        let limit = if zero { None } else { Some(T::decode(value, decoder)?) };
        match limit {
            Some(limit) if limit.magnitude() != Some(0) => Some(Self(Some(limit))),
            _ => {
                let message = format!("`{}` cannot be 0", decoder.key());
                let help = "write `\"off\"` for no limit";
                decoder.report(Diagnostic::error(value.span, message).help(help));
                None
            }
        }
    }

    fn schema() -> Schema {
        Schema::Off(Box::new(T::schema()))
    }

    fn magnitude(&self) -> Option<i128> {
        self.0.as_ref().and_then(T::magnitude)
    }
}

/// Whether a value that is no limit was probably meant to lift it.
fn is_meant_off(value: &Value) -> bool {
    match &value.content {
        Content::Boolean(is_on) => !is_on,
        Content::Text(text) => {
            let words = ["of", "none", "no", "never", "false", "unlimited", "infinite", "disabled"];
            let lower = text.value.to_ascii_lowercase();
            !text.expanded && (lower == "off" || words.contains(&lower.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
