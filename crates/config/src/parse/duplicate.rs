//! Where a key that is set twice was set first.
//!
//! The parser tells only the second place. The text is parsed once more with that key renamed: it
//! then stands in its table beside the first.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The place of the key that the key at `second` repeats.
pub(super) fn first_place(text: &str, second: Range<usize>) -> Option<Range<usize>> {
    let key = text.get(second.clone())?;
    let name = unquoted(key);
    // Another bare key of the same length, so that no place moves.
    let other =
        ["z", "y"].map(|letter| letter.repeat(key.len())).into_iter().find(|o| *o != name)?;
    let mut renamed = text.to_owned();
    renamed.replace_range(second.clone(), &other);
    let (root, _) = DeTable::parse_recoverable(&renamed);
    let siblings = table_with(root.get_ref(), second.start)?;
    siblings.keys().find(|sibling| sibling.get_ref() == &name).map(Spanned::span)
}

/// The table that holds the key at `start`.
fn table_with<'t, 'i>(table: &'t DeTable<'i>, start: usize) -> Option<&'t DeTable<'i>> {
    if table.keys().any(|key| key.span().start == start) {
        return Some(table);
    }
    table.values().find_map(|value| value_with(value.get_ref(), start))
}

fn value_with<'t, 'i>(value: &'t DeValue<'i>, start: usize) -> Option<&'t DeTable<'i>> {
    match value {
        DeValue::Table(table) => table_with(table, start),
        DeValue::Array(items) => items.iter().find_map(|item| value_with(item.get_ref(), start)),
        _ => None,
    }
}

fn unquoted(key: &str) -> String {
    match DeValue::parse(key).map(Spanned::into_inner) {
        Ok(DeValue::String(name)) => name.into_owned(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, second: &str, first: usize) {
        let start = text.rfind(second).unwrap();
        let found = first_place(text, start..start + second.len());
        assert_eq!(found.map(|range| range.start), Some(first), "{text}");
    }

    #[test]
    fn the_first_place_is_in_the_same_table() {
        check("a = 1\na = 2\n", "a", 0);
        check("[t]\nx = 1\nb = { x = 2 }\nx = 3\n", "x", 4);
        check("[s.web]\n[s.a]\n[s.web]\n", "web", 3);
        check("k = { 'z' = 1, \"z\" = 2 }\n", "\"z\"", 6);
        check("[[r]]\nz = 1\n[[r]]\nz = 1\nz = 2\n", "z", 18);
    }
}
