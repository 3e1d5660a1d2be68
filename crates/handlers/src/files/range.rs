//! Which bytes of a file a `Range` field asks for.
//!
//! Pure: header text and size in, spans out. A field that is malformed, of another unit, of too
//! many ranges, or asks for more bytes than the file has, is ignored: the whole file answers it,
//! which is always allowed and never costs more than the file (CVE-2011-3192).
//!
//! INVARIANT: spans lie inside the file, are not empty, ascend, and never touch one another.
//! Source: RFC 9110 §14.1.2, §14.2.

/// Ranges in one field; more are ignored as a whole.
pub const RANGES_MAX: usize = 16;

/// Bytes `start..end` of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSpan {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// What a `Range` field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Nothing that counts: answer with the whole file.
    Whole,
    /// No byte of the file: answer 416.
    Unsatisfiable,
    /// One span.
    One(ByteSpan),
    /// Several, at least two.
    Several(Vec<ByteSpan>),
}

/// Reads the value of a `Range` field for a file of `size` bytes.
///
/// ```
/// use stead_handlers::files::range::{ByteSpan, Ranges, parse};
/// assert_eq!(parse(b"bytes=-2", 10), Ranges::One(ByteSpan { start: 8, end: 10 }));
/// ```
pub fn parse(header: &[u8], size: u64) -> Ranges {
    let Some(specs) = strip_unit(header) else { return Ranges::Whole };
    let mut spans = Vec::new();
    let (mut count, mut total, mut wants_end) = (0_usize, 0_u64, false);
    for spec in specs.split(|byte| *byte == b',').map(trim).filter(|spec| !spec.is_empty()) {
        count += 1;
        let Some(spec) = Spec::parse(spec).filter(|_| count <= RANGES_MAX) else {
            return Ranges::Whole;
        };
        wants_end |= matches!(spec, Spec::Last(1..));
        if let Some(span) = spec.resolve(size) {
            total = total.saturating_add(span.end - span.start);
            spans.push(span);
        }
    }
    if count == 0 || total > size {
        return Ranges::Whole;
    }
    merge(&mut spans);
    match spans.as_slice() {
        // The end of an empty file is satisfiable, but no `Content-Range` can say so.
        [] if wants_end => Ranges::Whole,
        [] => Ranges::Unsatisfiable,
        [span] => Ranges::One(*span),
        _ => Ranges::Several(spans),
    }
}

/// One range as it was written; numbers too large for 64 bits stand for the largest.
#[derive(Clone, Copy)]
enum Spec {
    /// From a byte to a byte, both included.
    Between(u64, u64),
    /// From a byte to the end.
    From(u64),
    /// That many bytes before the end.
    Last(u64),
}

impl Spec {
    fn parse(spec: &[u8]) -> Option<Self> {
        let dash = spec.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Last(number(last)?)),
            (false, true) => Some(Self::From(number(first)?)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes that are there; none if it is unsatisfiable.
    fn resolve(self, size: u64) -> Option<ByteSpan> {
        let (start, end) = match self {
            Self::Between(first, last) => (first, last.saturating_add(1).min(size)),
            Self::From(first) => (first, size),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (start < end).then_some(ByteSpan { start, end })
    }
}

/// What stands after `bytes=`.
fn strip_unit(header: &[u8]) -> Option<&[u8]> {
    let equals = header.iter().position(|byte| *byte == b'=')?;
    header[..equals].eq_ignore_ascii_case(b"bytes").then(|| &header[equals + 1..])
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Sorts, and joins spans that overlap or touch.
fn merge(spans: &mut Vec<ByteSpan>) {
    spans.sort_unstable();
    spans.dedup_by(|next, kept| {
        let touches = next.start <= kept.end;
        if touches {
            kept.end = kept.end.max(next.end);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, size: u64, expect: &[(u64, u64)]) {
        let span = |&(start, end): &(u64, u64)| ByteSpan { start, end };
        let expect = match expect {
            [one] => Ranges::One(span(one)),
            several => Ranges::Several(several.iter().map(span).collect()),
        };
        assert_eq!(parse(header.as_bytes(), size), expect, "{header} of {size}");
    }

    #[test]
    fn one_range_in_its_three_forms() {
        check("bytes=0-499", 10_000, &[(0, 500)]);
        check("bytes=9500-", 10_000, &[(9_500, 10_000)]);
        check("bytes=-500", 10_000, &[(9_500, 10_000)]);
        check("BYTES=0-0", 1, &[(0, 1)]);
        check("bytes=5-99999999999999999999999", 10, &[(5, 10)]);
        check("bytes=-99999999999999999999999", 10, &[(0, 10)]);
        check("bytes= 1-2 , ", 10, &[(1, 3)]);
        check("bytes=0-0,20-30", 10, &[(0, 1)]);
    }

    #[test]
    fn security_41_ranges_are_merged_counted_and_bounded() {
        check("bytes=0-0,-1", 10, &[(0, 1), (9, 10)]);
        check("bytes=8-9,0-1", 10, &[(0, 2), (8, 10)]);
        check("bytes=0-4,3-5", 10, &[(0, 6)]);
        check("bytes=0-4,5-5,8-8", 10, &[(0, 6), (8, 9)]);
        assert_eq!(parse(b"bytes=0-,0-", 10), Ranges::Whole, "twice the file");
        assert_eq!(parse(b"bytes=10-,-0", 10), Ranges::Unsatisfiable);
        assert_eq!(parse(b"bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(parse(b"bytes=-1", 0), Ranges::Whole);
        let many = |count: usize| {
            let specs: Vec<String> = (0..count).map(|n| format!("{0}-{0}", n * 2)).collect();
            parse(format!("bytes={}", specs.join(",")).as_bytes(), 1_000)
        };
        assert!(matches!(many(16), Ranges::Several(spans) if spans.len() == 16));
        assert_eq!(many(17), Ranges::Whole);
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=1 -2",
            "lines=0-1",
            "bytes =0-1",
            "bytes=0-1,x",
            "bytes=0-1;2-3",
            "bytes=--1",
        ] {
            assert_eq!(parse(header.as_bytes(), 10), Ranges::Whole, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_spans_inside_the_file(
            header in "(bytes=)?[0-9,\\- a]{0,60}",
            size in prop_oneof![0..40_u64, Just(u64::MAX), any::<u64>()],
        ) {
            let spans = match parse(header.as_bytes(), size) {
                Ranges::Whole | Ranges::Unsatisfiable => Vec::new(),
                Ranges::One(span) => vec![span],
                Ranges::Several(spans) => {
                    prop_assert!(spans.len() >= 2 && spans.len() <= RANGES_MAX);
                    spans
                }
            };
            prop_assert!(spans.iter().all(|span| span.start < span.end && span.end <= size));
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
        }

        #[test]
        fn any_bytes_are_survived(header in proptest::collection::vec(any::<u8>(), 0..64)) {
            parse(&header, 100);
            let mut prefixed = b"bytes=".to_vec();
            prefixed.extend_from_slice(&header);
            parse(&prefixed, 100);
        }

        #[test]
        fn merged_spans_cover_exactly_what_was_asked(
            asked in proptest::collection::vec((0..30_u64, 0..6_u64), 1..5),
        ) {
            let specs: Vec<String> =
                asked.iter().map(|(start, more)| format!("{start}-{}", start + more)).collect();
            let wanted = |at: u64| asked.iter().any(|(s, more)| (*s..=s + more).contains(&at));
            match parse(format!("bytes={}", specs.join(",")).as_bytes(), 64) {
                Ranges::One(span) => {
                    let covered = |at| (span.start..span.end).contains(&at);
                    prop_assert!((0..64).all(|at| wanted(at) == covered(at)));
                }
                Ranges::Several(spans) => {
                    let covered =
                        |at| spans.iter().any(|span| (span.start..span.end).contains(&at));
                    prop_assert!((0..64).all(|at| wanted(at) == covered(at)));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
