//! TOML text from values: strings, keys, literals.
//!
//! Used where a message says what to write and where a whole configuration is printed. What is
//! printed is always valid TOML 1.0.

use std::fmt::Write as _;

use crate::Literal;
use crate::value::{Content, Value};

/// A string as TOML writes it: basic, with escapes only where they are needed.
pub(crate) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key as TOML writes it: bare where it may be.
pub(crate) fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { text(name) }
}

/// A number with a fraction as TOML writes it.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

/// A literal as TOML writes it.
pub(crate) fn literal(value: Literal) -> String {
    match value {
        Literal::Text(value) => text(value),
        Literal::Integer(number) => number.to_string(),
        Literal::Float(number) => float(number),
        Literal::Boolean(boolean) => boolean.to_string(),
        Literal::List(items) => {
            let items: Vec<String> = items.iter().map(|item| literal(*item)).collect();
            format!("[{}]", items.join(", "))
        }
        Literal::Table => "{}".to_owned(),
    }
}

/// A value on one line, strings as they were written.
pub(crate) fn value(shown: &Value) -> String {
    match &shown.content {
        Content::Text(content) => text(content.written()),
        Content::Integer(number) => number.to_string(),
        Content::Float(number) => float(*number),
        Content::Boolean(boolean) => boolean.to_string(),
        Content::Time(written) => written.clone(),
        Content::List(items) => {
            format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", "))
        }
        Content::Table(table) if table.is_empty() => "{}".to_owned(),
        Content::Table(table) => {
            let entries = table.entries().iter();
            let entries =
                entries.map(|entry| format!("{} = {}", key(&entry.key.name), value(&entry.value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_keys_are_valid_toml() {
        assert_eq!(text("a\"b\\c\n\u{1}"), r#""a\"b\\c\n\u0001""#);
        assert_eq!(key("body_idle-2"), "body_idle-2");
        assert_eq!(key("a b"), "\"a b\"");
        assert_eq!(key(""), "\"\"");
        assert_eq!(float(1.0), "1.0");
        assert_eq!(
            literal(Literal::List(&[Literal::Text("x"), Literal::Integer(2)])),
            r#"["x", 2]"#
        );
    }
}
