//! Reads field lines: after the start line of a head, and after the last chunk.
//!
//! Each line is parsed once, when its CRLF has arrived; the search for it resumes where it stopped.
//! Lines are consumed as they complete and copied into the `Fields` in one piece per call. Errors
//! are found in the order of the bytes, so that they do not depend on how the input was cut.
//! RFC 9112 §5, §5.1 (no blank before the colon), §5.2 (no folding), RFC 9110 §5.5.

use stead_base::{HeadLimits, Reason};

use crate::fields::{Fields, Span};
use crate::name::Known;
use crate::scan::{self, LineEnd};

/// Where the reading of one field section stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldLines {
    /// Bytes that may still come, with line ends but without the empty line.
    bytes_left: u32,
    /// Fields that may still come.
    fields_left: u16,
    /// Bytes of the incomplete line that were searched already.
    clean: u32,
}

/// How far one call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of the input that were used.
    pub consumed: usize,
    /// Whether the empty line was among them.
    pub complete: bool,
}

/// What is to be done with a field that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Drop,
}

impl FieldLines {
    /// Begins a section; `bytes_used` of the limit were used by the start line.
    #[inline]
    pub(crate) fn new(limits: &HeadLimits, bytes_used: u32) -> Self {
        Self {
            bytes_left: limits.head_bytes_max.saturating_sub(bytes_used),
            fields_left: limits.field_count_max,
            clean: 0,
        }
    }

    /// Reads the complete lines of `input` into `fields`, asking `judge` about each one.
    ///
    /// # Errors
    /// The first rule that a line breaks, a limit that is passed, or what `judge` says. The fields
    /// before the broken line are in `fields`.
    #[inline]
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        fields: &mut Fields,
        mut judge: impl FnMut(Option<Known>, &[u8]) -> Result<Verdict, Reason>,
    ) -> Result<Progress, Reason> {
        let base = fields.text_end();
        let mut at = 0;
        let outcome = loop {
            let Some(rest) = input.get(at..) else { break Ok(false) };
            let line = match self.next_line(rest) {
                Ok(Some(line)) => line,
                Ok(None) => break Ok(false),
                Err(reason) => break Err(reason),
            };
            if line.is_empty() {
                break Ok(true);
            }
            let judged = parse_line(line).and_then(|field| {
                let verdict = judge(field.known, field.value)?;
                Ok((field, verdict))
            });
            match judged {
                Ok((field, Verdict::Keep)) => fields.push_spans(
                    field.known,
                    Span::new(base + at, field.name_len),
                    Span::new(base + at + field.value_at, field.value.len()),
                ),
                Ok((_, Verdict::Drop)) => (),
                Err(reason) => break Err(reason),
            }
            at += line.len() + 2;
        };
        fields.push_lines(input.get(..at).unwrap_or_default());
        outcome.map(|complete| Progress { consumed: at + 2 * usize::from(complete), complete })
    }

    /// The next complete line without its CRLF, within the limits.
    #[inline]
    fn next_line<'a>(&mut self, rest: &'a [u8]) -> Result<Option<&'a [u8]>, Reason> {
        match scan::line_end(rest, self.clean as usize) {
            LineEnd::At(0) => Ok(Some(&[])),
            LineEnd::At(end) => {
                self.take_bytes(end + 2)?;
                self.fields_left = self.fields_left.checked_sub(1).ok_or(Reason::TooManyHeaders)?;
                self.clean = 0;
                Ok(rest.get(..end))
            }
            LineEnd::Partial(clean) => {
                self.check_bytes(clean)?;
                self.clean = clean as u32;
                Ok(None)
            }
            LineEnd::Bad(at) => {
                self.check_bytes(at)?;
                Err(blame(rest, at))
            }
        }
    }

    fn take_bytes(&mut self, bytes: usize) -> Result<(), Reason> {
        self.check_bytes(bytes)?;
        self.bytes_left -= bytes as u32;
        Ok(())
    }

    #[inline]
    fn check_bytes(&self, bytes: usize) -> Result<(), Reason> {
        if bytes > self.bytes_left as usize { Err(Reason::HeaderTooLarge) } else { Ok(()) }
    }
}

struct Field<'a> {
    known: Option<Known>,
    name_len: usize,
    value_at: usize,
    value: &'a [u8],
}

/// Splits a line that holds no control byte but HTAB.
#[inline]
fn parse_line(line: &[u8]) -> Result<Field<'_>, Reason> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Reason::FoldedHeader);
    }
    let colon = scan::find(b':', line).ok_or(Reason::BadHeaderName)?;
    let (name, rest) = line.split_at(colon);
    let known = Known::from_bytes(name);
    // The names of the table are tokens.
    if known.is_none() && !scan::is_token(name) {
        return Err(Reason::BadHeaderName);
    }
    let value = trim_start(rest.get(1..).unwrap_or_default());
    Ok(Field {
        known,
        name_len: name.len(),
        value_at: line.len() - value.len(),
        value: scan::trim(value),
    })
}

#[inline]
fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// What the control byte at `at` of a line breaks.
#[cold]
fn blame(line: &[u8], at: usize) -> Reason {
    let before = line.get(..at).unwrap_or_default();
    match line.get(at) {
        Some(b'\r' | b'\n') => Reason::BadLineEnd,
        _ if before.contains(&b':') => Reason::BadHeaderValue,
        _ => Reason::BadHeaderName,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { head_bytes_max: 64, field_count_max: 3, uri_bytes_max: 32 };

    fn check(input: &str, expect: Result<&str, Reason>) {
        let whole = read(input.as_bytes(), input.len());
        let bytewise = read(input.as_bytes(), 1);
        assert_eq!(whole, bytewise, "{input:?}");
        assert_eq!(whole, expect.map(str::to_owned), "{input:?}");
    }

    fn read(input: &[u8], piece: usize) -> Result<String, Reason> {
        let mut lines = FieldLines::new(&LIMITS, 0);
        let mut fields = Fields::new();
        let (mut from, mut to) = (0, 0);
        loop {
            let step = lines.read(&input[from..to], &mut fields, |_, _| Ok(Verdict::Keep))?;
            from += step.consumed;
            if step.complete {
                let text: Vec<_> =
                    fields.iter().map(|(n, v)| format!("{n}={}", v.escape_ascii())).collect();
                return Ok(text.join("|"));
            }
            if to == input.len() {
                return Ok("incomplete".to_owned());
            }
            to = (to + piece).min(input.len());
        }
    }

    #[test]
    fn lines_names_and_values_are_checked() {
        check("\r\n", Ok(""));
        check("Host: a\r\nx-b:\t c d \t\r\n\r\n", Ok("Host=a|x-b=c d"));
        check("a:\r\nb: \r\n\r\n", Ok("a=|b="));
        check("a: b:c\r\n\r\n", Ok("a=b:c"));
        check("a: \u{e9}\u{a0}\r\n\r\n", Ok("a=\\xc3\\xa9\\xc2\\xa0"));
        check("a: 1\r\n", Ok("incomplete"));
        check("a: 1\r\n\r", Ok("incomplete"));
        check("a: 1\n\r\n", Err(Reason::BadLineEnd));
        check("a: 1\r\n\n", Err(Reason::BadLineEnd));
        check("a: 1\rb: 2\r\n\r\n", Err(Reason::BadLineEnd));
        check("a: 1\r\r\n\r\n", Err(Reason::BadLineEnd));
        check("a : 1\r\n\r\n", Err(Reason::BadHeaderName));
        check("a\t: 1\r\n\r\n", Err(Reason::BadHeaderName));
        check("Host : a\r\n\r\n", Err(Reason::BadHeaderName));
        check(": 1\r\n\r\n", Err(Reason::BadHeaderName));
        check("abc\r\n\r\n", Err(Reason::BadHeaderName));
        check("a(b: 1\r\n\r\n", Err(Reason::BadHeaderName));
        check("\u{e9}: 1\r\n\r\n", Err(Reason::BadHeaderName));
        check("a\0: 1\r\n\r\n", Err(Reason::BadHeaderName));
        check(" a: 1\r\n\r\n", Err(Reason::FoldedHeader));
        check("a: 1\r\n b\r\n\r\n", Err(Reason::FoldedHeader));
        check("a: 1\r\n\tb\r\n\r\n", Err(Reason::FoldedHeader));
        check("a: \0\r\n\r\n", Err(Reason::BadHeaderValue));
        check("a: \u{7f}\r\n\r\n", Err(Reason::BadHeaderValue));
        check("a: \u{b}\r\n\r\n", Err(Reason::BadHeaderValue));
    }

    #[test]
    fn limits_count_while_the_lines_arrive() {
        check(&format!("a: {}\r\n\r\n", "x".repeat(59)), Ok(&format!("a={}", "x".repeat(59))));
        check(&format!("a: {}\r\n\r\n", "x".repeat(60)), Err(Reason::HeaderTooLarge));
        check(&"x".repeat(65), Err(Reason::HeaderTooLarge));
        check(&format!("{}\0", "x".repeat(65)), Err(Reason::HeaderTooLarge));
        check("a:\r\nb:\r\nc:\r\n\r\n", Ok("a=|b=|c="));
        check("a:\r\nb:\r\nc:\r\nd:", Ok("incomplete"));
        check("a:\r\nb:\r\nc:\r\nd:\r\n", Err(Reason::TooManyHeaders));
    }
}
