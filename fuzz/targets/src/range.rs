//! `Range` fields: bounded answers, held against a model that marks every byte by hand.
//!
//! The first byte of the input is the file's size, so that borders are near; the rest is the field.

use stead_handlers::files::range::{ByteSpan, RANGES_MAX, Ranges, parse};

/// Any bytes as the value of a `Range` field.
pub fn range(input: &[u8]) {
    let Some((&size, field)) = input.split_first() else { return };
    check(field, u64::from(size));
    for size in [u64::MAX, i64::MAX as u64] {
        spans_of(&parse(field, size), size);
    }
}

fn check(field: &[u8], size: u64) {
    let found = parse(field, size);
    let spans = spans_of(&found, size);
    let Some(asked) = model(field, size) else {
        assert_eq!(found, Ranges::Whole, "malformed: {}", field.escape_ascii());
        return;
    };
    if found == Ranges::Whole {
        return;
    }
    let mut marked = vec![false; size as usize];
    for span in spans {
        marked[span.start as usize..span.end as usize].fill(true);
    }
    assert_eq!(marked, asked, "{} of {size}", field.escape_ascii());
}

/// The spans of an answer, once they kept their promises.
fn spans_of(ranges: &Ranges, size: u64) -> Vec<ByteSpan> {
    let spans = match ranges {
        Ranges::Whole | Ranges::Unsatisfiable => Vec::new(),
        Ranges::One(span) => vec![*span],
        Ranges::Several(spans) => spans.clone(),
    };
    assert!(spans.len() <= RANGES_MAX);
    assert!(spans.iter().all(|span| span.start < span.end && span.end <= size), "{spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start), "{spans:?}");
    spans
}

/// Which bytes of the file the field asks for; `None` if it is malformed.
fn model(field: &[u8], size: u64) -> Option<Vec<bool>> {
    let text = std::str::from_utf8(field).ok()?;
    let (unit, items) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut asked = vec![false; size as usize];
    for item in items.split(',').map(|item| item.trim_matches([' ', '\t'])) {
        if item.is_empty() {
            continue;
        }
        let (first, last) = item.split_once('-')?;
        if !first.bytes().chain(last.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (first, last) = (number(first), number(last));
        for (at, mark) in (0..u128::from(size)).zip(&mut asked) {
            *mark |= match (first, last) {
                (Some(first), Some(last)) if first > last => return None,
                (Some(first), Some(last)) => (first..=last).contains(&at),
                (Some(first), None) => at >= first,
                (None, Some(count)) => at + count >= u128::from(size),
                (None, None) => return None,
            };
        }
    }
    Some(asked)
}

/// The number that digits spell; `None` if there are none.
fn number(digits: &str) -> Option<u128> {
    // More digits than any file has bytes stand for the largest size.
    let largest = u128::from(u64::MAX);
    (!digits.is_empty()).then(|| digits.parse().map_or(largest, |number: u128| number.min(largest)))
}
