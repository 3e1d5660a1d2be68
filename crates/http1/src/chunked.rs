//! The chunked coding, taken apart byte by byte as it arrives.
//!
//! From a chunked message's head to its last trailer line. Sizes are 1 to 16 hexadecimal digits
//! without blanks, line ends are CRLF, extensions are parsed and dropped: at most 64 bytes of them
//! a chunk and 4 KiB a body. Trailers obey the limits of a head; those that frame, route or
//! authenticate are dropped. RFC 9112 §7.1, RFC 9110 §6.5.1.

use stead_base::{HeadLimits, Reason};

use crate::fields::Fields;
use crate::lines::{FieldLines, Verdict};
use crate::name::Known;
use crate::scan::{BODY_BYTES_MAX, is_token_byte};
use crate::{Event, Step};

/// Where the decoding of one chunked body stands.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Of the size being read, then what is left of the chunk.
    size: u64,
    /// Of all chunks so far.
    body_bytes: u64,
    extension_bytes: u16,
    extensions_bytes: u16,
    trailers: FieldLines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After so many digits.
    Size(u8),
    Extension(Extension),
    SizeLf,
    Content,
    ContentCr,
    ContentLf,
    Trailers,
    End,
}

/// Inside a chunk extension: `;name`, `;name=token` or `;name="quoted"`, with blanks around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// After `;`.
    NameStart,
    Name,
    AfterName,
    /// After `=`.
    ValueStart,
    Value,
    Quoted,
    /// After `\` in a quoted string.
    Escaped,
    AfterValue,
}

impl Chunked {
    /// Begins a body; `limits` are those of the trailers.
    pub(crate) fn new(limits: &HeadLimits) -> Self {
        Self {
            state: State::Size(0),
            size: 0,
            body_bytes: 0,
            extension_bytes: 0,
            extensions_bytes: 0,
            trailers: FieldLines::new(limits, 0),
        }
    }

    /// Decodes up to the next piece of content, the trailers, or the end.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        body_bytes_max: u64,
        trailers: &mut Fields,
    ) -> Result<Step, Reason> {
        let mut at = 0;
        loop {
            match self.state {
                State::Content => return Ok(self.content(input, at)),
                State::Trailers => return self.trailer_lines(input, at, trailers),
                State::End => return Ok(Step { consumed: at, event: Event::End }),
                _ => (),
            }
            let Some(byte) = input.get(at) else {
                return Ok(Step { consumed: at, event: Event::Pending });
            };
            self.state = self.line_byte(*byte, body_bytes_max)?;
            at += 1;
        }
    }

    fn content(&mut self, input: &[u8], at: usize) -> Step {
        let there = input.len() - at;
        let len = usize::try_from(self.size).map_or(there, |size| size.min(there));
        if len == 0 {
            return Step { consumed: at, event: Event::Pending };
        }
        self.size -= len as u64;
        if self.size == 0 {
            self.state = State::ContentCr;
        }
        Step { consumed: at + len, event: Event::Data(at..at + len) }
    }

    fn trailer_lines(
        &mut self,
        input: &[u8],
        at: usize,
        trailers: &mut Fields,
    ) -> Result<Step, Reason> {
        let rest = input.get(at..).unwrap_or_default();
        let progress = self
            .trailers
            .read(rest, trailers, |known, _| {
                let keep = known.is_none_or(Known::is_allowed_in_trailers);
                Ok(if keep { Verdict::Keep } else { Verdict::Drop })
            })
            .map_err(|_| Reason::BadTrailer)?;
        let consumed = at + progress.consumed;
        if !progress.complete {
            return Ok(Step { consumed, event: Event::Pending });
        }
        self.state = State::End;
        let event = if trailers.is_empty() { Event::End } else { Event::Trailers };
        Ok(Step { consumed, event })
    }

    /// The state after one byte that is neither content nor trailer.
    fn line_byte(&mut self, byte: u8, body_bytes_max: u64) -> Result<State, Reason> {
        match (self.state, byte) {
            (State::Size(digits), _) => self.size_byte(digits, byte),
            (State::Extension(extension), _) => self.extension_byte(extension, byte),
            (State::SizeLf, b'\n') => self.begin_chunk(body_bytes_max),
            (State::ContentCr, b'\r') => Ok(State::ContentLf),
            (State::ContentLf, b'\n') => {
                self.size = 0;
                Ok(State::Size(0))
            }
            _ => Err(Reason::BadChunk),
        }
    }

    fn size_byte(&mut self, digits: u8, byte: u8) -> Result<State, Reason> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) if digits < SIZE_DIGITS_MAX => {
                self.size = self.size << 4 | u64::from(digit);
                Ok(State::Size(digits + 1))
            }
            (None, b'\r') if digits > 0 => Ok(State::SizeLf),
            (None, b';') if digits > 0 => {
                self.extension_bytes = 0;
                self.extension_byte_counted()?;
                Ok(State::Extension(Extension::NameStart))
            }
            _ => Err(Reason::BadChunk),
        }
    }

    fn extension_byte(&mut self, extension: Extension, byte: u8) -> Result<State, Reason> {
        use Extension as E;
        if byte == b'\r' {
            return match extension {
                E::Name | E::AfterName | E::Value | E::AfterValue => Ok(State::SizeLf),
                _ => Err(Reason::BadChunk),
            };
        }
        self.extension_byte_counted()?;
        let blank = matches!(byte, b' ' | b'\t');
        let next = match (extension, byte) {
            (E::Quoted, b'"') => E::AfterValue,
            (E::Quoted, b'\\') => E::Escaped,
            (E::Quoted | E::Escaped, b'\t' | 0x20..=0x7E | 0x80..) | (E::ValueStart, b'"') => {
                E::Quoted
            }
            (E::Name | E::AfterName, b'=') => E::ValueStart,
            (E::Name | E::AfterName | E::Value | E::AfterValue, b';') => E::NameStart,
            (E::Name | E::AfterName, _) if blank => E::AfterName,
            (E::Value | E::AfterValue, _) if blank => E::AfterValue,
            (E::NameStart | E::ValueStart, _) if blank => extension,
            (E::NameStart | E::Name, _) if is_token_byte(byte) => E::Name,
            (E::ValueStart | E::Value, _) if is_token_byte(byte) => E::Value,
            _ => return Err(Reason::BadChunk),
        };
        Ok(State::Extension(next))
    }

    fn extension_byte_counted(&mut self) -> Result<(), Reason> {
        self.extension_bytes += 1;
        self.extensions_bytes += 1;
        let fits = self.extension_bytes <= EXTENSION_BYTES_MAX
            && self.extensions_bytes <= EXTENSIONS_BYTES_MAX;
        if fits { Ok(()) } else { Err(Reason::ChunkExtensionTooLong) }
    }

    fn begin_chunk(&mut self, body_bytes_max: u64) -> Result<State, Reason> {
        if self.size == 0 {
            return Ok(State::Trailers);
        }
        let total = self.body_bytes.checked_add(self.size).filter(|n| *n <= BODY_BYTES_MAX);
        self.body_bytes = total.ok_or(Reason::BadChunk)?;
        if self.body_bytes > body_bytes_max {
            return Err(Reason::BodyTooLarge);
        }
        Ok(State::Content)
    }
}

/// Sixteen digits fill 64 bits; more could only be zeros or an overflow.
const SIZE_DIGITS_MAX: u8 = 16;

/// Bytes of one chunk's extensions, from the first `;` up to the CR.
const EXTENSION_BYTES_MAX: u16 = 64;

/// Bytes of all extensions of a body: what makes many one-byte chunks with extensions too dear.
const EXTENSIONS_BYTES_MAX: u16 = 4096;

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { head_bytes_max: 64, field_count_max: 2, uri_bytes_max: 32 };

    fn check(input: &[u8], expect: Result<&str, Reason>) {
        for piece in [1, 2, 3, 7, input.len().max(1)] {
            let expect = expect.map(str::to_owned);
            assert_eq!(decode(input, piece), expect, "{} by {piece}", input.escape_ascii());
        }
    }

    /// The content, then `|name=value` for each trailer, or what is missing.
    fn decode(input: &[u8], piece: usize) -> Result<String, Reason> {
        let mut chunked = Chunked::new(&LIMITS);
        let mut trailers = Fields::new();
        let mut out = String::new();
        let (mut from, mut to) = (0, piece.min(input.len()));
        loop {
            let rest = &input[from..to];
            let step = chunked.decode(rest, 1 << 20, &mut trailers)?;
            match step.event {
                Event::Data(range) => out += str::from_utf8(&rest[range]).unwrap(),
                Event::Trailers => {
                    for (name, value) in trailers.iter() {
                        write!(out, "|{name}={}", value.escape_ascii()).unwrap();
                    }
                }
                Event::End if from + step.consumed < input.len() => return Ok(out + "+rest"),
                Event::End => return Ok(out),
                _ if to == input.len() => return Ok(out + "+pending"),
                _ => to = (to + piece).min(input.len()),
            }
            from += step.consumed;
        }
    }

    #[test]
    fn chunks_are_joined() {
        check(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Ok("hello world"));
        check(b"0\r\n\r\n", Ok(""));
        check(b"000A\r\n0123456789\r\n00\r\n\r\n", Ok("0123456789"));
        check(b"0000000000000001\r\nx\r\n0\r\n\r\nGET", Ok("x+rest"));
        check(b"5\r\nhel", Ok("hel+pending"));
        check(b"", Ok("+pending"));
    }

    #[test]
    fn security_05_a_chunk_size_is_hex_digits_only() {
        for size in ["", "0x1", "+1", "-1", " 1", "1 ", "\t1", "1\t", "g", "1_0", "1,"] {
            check(format!("{size}\r\nx\r\n0\r\n\r\n").as_bytes(), Err(Reason::BadChunk));
        }
        check(b"00000000000000001\r\nx\r\n0\r\n\r\n", Err(Reason::BadChunk));
        check(b"FFFFFFFFFFFFFFFF\r\nx", Err(Reason::BadChunk));
        check(b"8000000000000000\r\nx", Err(Reason::BadChunk));
        check(b"1\r\nx\r\n7FFFFFFFFFFFFFFF\r\nx", Err(Reason::BadChunk));
        assert_eq!(Reason::BadChunk.status(), Some(400));
    }

    #[test]
    fn security_06_lines_and_content_end_in_crlf() {
        for bad in [
            "1\nx\r\n0\r\n\r\n",
            "1\rx\r\n0\r\n\r\n",
            "1\r\rx",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nx\r0\r\n",
            "1\r\nxab0\r\n\r\n",
            "1\r\nx\rX0\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
            "1;a\nx\r\n0\r\n\r\n",
            "1;a\rx",
            "1\r\nx\r\n\r\n0\r\n\r\n",
        ] {
            check(bad.as_bytes(), Err(Reason::BadChunk));
        }
        check(b"0\n\n", Err(Reason::BadChunk));
        check(b"0\r\n\n", Err(Reason::BadTrailer));
    }

    #[test]
    fn security_07_extensions_are_parsed_limited_and_dropped() {
        for good in [";a", ";a=b", ";a=\"b\"", ";a=\"b\\\"c;\"", ";a;b", "; a = b ; c", ";a=\"\""] {
            check(format!("1{good}\r\nx\r\n0{good}\r\n\r\n").as_bytes(), Ok("x"));
        }
        for bad in [";", ";;a", ";=b", ";a=", ";a b", ";a=\"b", ";a=\"b\"c", ";a=\0", ";a=\"\0\""] {
            check(format!("1{bad}\r\nx\r\n0\r\n\r\n").as_bytes(), Err(Reason::BadChunk));
        }
        check(b"1;a=\"\n\"\r\nx\r\n0\r\n\r\n", Err(Reason::BadChunk));
        let extension = |bytes: usize| format!(";{}", "e".repeat(bytes - 1));
        let body = |chunks: usize, bytes| {
            format!("1{}\r\nx\r\n", extension(bytes)).repeat(chunks) + "0\r\n\r\n"
        };
        check(body(1, 64).as_bytes(), Ok("x"));
        check(body(1, 65).as_bytes(), Err(Reason::ChunkExtensionTooLong));
        check(body(64, 64).as_bytes(), Ok(&"x".repeat(64)));
        check(body(65, 64).as_bytes(), Err(Reason::ChunkExtensionTooLong));
        assert_eq!(Reason::ChunkExtensionTooLong.status(), Some(400));
    }

    #[test]
    fn security_08_trailers_obey_the_rules_of_a_head() {
        check(b"1\r\nx\r\n0\r\nX-Sum: 1\r\na:b\r\n\r\n", Ok("x|X-Sum=1|a=b"));
        for dropped in ["Content-Length: 1", "host: a", "Cookie: a", "Authorization: a", "TE: x"] {
            check(format!("0\r\n{dropped}\r\n\r\n").as_bytes(), Ok(""));
            check(format!("0\r\n{dropped}\r\na: 1\r\n\r\n").as_bytes(), Ok("|a=1"));
        }
        for bad in ["a : 1", " a: 1", "a", ": 1", "a: \0", "a: 1\nb: 2", "a: 1\r b"] {
            check(format!("0\r\n{bad}\r\n\r\n").as_bytes(), Err(Reason::BadTrailer));
        }
        check(b"0\r\na:\r\nb:\r\nc:\r\n\r\n", Err(Reason::BadTrailer));
        check(format!("0\r\na: {}", "x".repeat(80)).as_bytes(), Err(Reason::BadTrailer));
        check(b"0\r\na: 1\r\n", Ok("+pending"));
    }

    #[test]
    fn a_body_beyond_its_limit_is_refused_at_the_chunk_that_passes_it() {
        let mut chunked = Chunked::new(&LIMITS);
        let mut trailers = Fields::new();
        let step = chunked.decode(b"3\r\nabc\r\n", 5, &mut trailers);
        assert_eq!(step, Ok(Step { consumed: 6, event: Event::Data(3..6) }));
        let step = chunked.decode(b"\r\n3\r\n", 5, &mut trailers);
        assert_eq!(step, Err(Reason::BodyTooLarge));
    }
}
