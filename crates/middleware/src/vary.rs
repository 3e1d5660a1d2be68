//! `Vary`: what an answer depends on, beside its address (RFC 9110 §12.5.5).

use stead_core::{Fields, name};

/// Says that the answer depends on the field `word` of the request: once, in one field.
pub(crate) fn add(fields: &mut Fields, word: &[u8]) {
    let mut merged = Vec::new();
    for value in fields.values(name::VARY) {
        for known in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if known == b"*" || known.eq_ignore_ascii_case(word) {
                return;
            }
        }
        if !value.is_empty() {
            merged.extend_from_slice(value);
            merged.extend_from_slice(b", ");
        }
    }
    merged.extend_from_slice(word);
    fields.set(name::VARY, &merged);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varied(values: &[&str]) -> String {
        let mut fields = Fields::new();
        for value in values {
            fields.append(name::VARY, value.as_bytes());
        }
        add(&mut fields, b"Accept-Encoding");
        let values: Vec<_> =
            fields.values(name::VARY).map(|v| v.escape_ascii().to_string()).collect();
        values.join(" | ")
    }

    #[test]
    fn vary_is_merged_once() {
        assert_eq!(varied(&[]), "Accept-Encoding");
        assert_eq!(varied(&["Origin", "", "Cookie"]), "Origin, Cookie, Accept-Encoding");
        assert_eq!(varied(&["Origin", "accept-encoding"]), "Origin | accept-encoding");
        assert_eq!(varied(&["*"]), "*");
    }
}
