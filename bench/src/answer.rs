//! Reads the answers of one connection and checks every one: status, length and, where given, body.
//!
//! Heads of one server look alike, so the first is parsed and later ones are compared at the
//! places learned from it; one that differs is parsed again. This keeps the load generator cheap
//! without trusting anything. Bodies must have a `Content-Length` (RFC 9112 §6.3).

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

/// What every answer must be: status 200 with this body.
#[derive(Clone, Debug)]
pub struct Expected {
    pub body_bytes: u64,
    /// The body itself, where each answer is compared with it.
    pub body: Option<Vec<u8>>,
}

impl Expected {
    pub fn exactly(body: &[u8]) -> Expected {
        Expected { body_bytes: body.len() as u64, body: Some(body.to_vec()) }
    }

    pub fn of_length(body_bytes: u64) -> Expected {
        Expected { body_bytes, body: None }
    }
}

/// Reader of one connection's answers.
#[derive(Default)]
pub struct AnswerReader {
    /// Beginning of a head that has not come completely.
    partial: Vec<u8>,
    body_left: u64,
    learned: Option<Learned>,
}

#[derive(Clone, Copy)]
struct Learned {
    head_bytes: usize,
    /// Where the line of `Content-Length` begins.
    line_at: usize,
    /// Where its value begins, and how many digits it has.
    length_at: usize,
    length_digits: usize,
}

impl AnswerReader {
    /// Takes what came and returns how many answers ended in it.
    ///
    /// # Errors
    /// An answer that is not the expected one.
    pub fn feed(&mut self, expected: &Expected, mut bytes: &[u8]) -> Result<u64> {
        let mut ended = 0;
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let now = bytes.len().min(usize::try_from(self.body_left).unwrap_or(usize::MAX));
                let (body, rest) = bytes.split_at(now);
                self.check_body(expected, body)?;
                self.body_left -= now as u64;
                bytes = rest;
            } else {
                match self.head_end(expected, bytes)? {
                    Some(used) => bytes = &bytes[used..],
                    None => return Ok(ended),
                }
                self.body_left = expected.body_bytes;
            }
            ended += u64::from(self.body_left == 0);
        }
        Ok(ended)
    }

    /// Whether no answer has begun that has not ended.
    pub fn is_between_answers(&self) -> bool {
        self.partial.is_empty() && self.body_left == 0
    }

    /// Bytes of `bytes` up to the end of the head, or none where the head is not complete.
    fn head_end(&mut self, expected: &Expected, bytes: &[u8]) -> Result<Option<usize>> {
        if self.partial.is_empty() {
            if let Some(learned) = self.learned.filter(|it| it.fits(bytes, expected.body_bytes)) {
                return Ok(Some(learned.head_bytes));
            }
            if let Some(end) = memmem::find(bytes, END_OF_HEAD) {
                let head = &bytes[..end + END_OF_HEAD.len()];
                self.learned = Some(Learned::from_head(head, expected.body_bytes)?);
                return Ok(Some(head.len()));
            }
            self.partial.extend_from_slice(bytes);
            ensure!(self.partial.len() < HEAD_BYTES_MAX, "head of over {HEAD_BYTES_MAX} bytes");
            return Ok(None);
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.partial, END_OF_HEAD) else {
            ensure!(self.partial.len() < HEAD_BYTES_MAX, "head of over {HEAD_BYTES_MAX} bytes");
            return Ok(None);
        };
        let head_bytes = end + END_OF_HEAD.len();
        Learned::from_head(&self.partial[..head_bytes], expected.body_bytes)?;
        self.partial.clear();
        Ok(Some(head_bytes - before))
    }

    fn check_body(&self, expected: &Expected, bytes: &[u8]) -> Result<()> {
        let Some(body) = &expected.body else { return Ok(()) };
        let from = body.len() - self.body_left as usize;
        ensure!(body[from..from + bytes.len()] == *bytes, "the body differs from the file");
        Ok(())
    }
}

impl Learned {
    fn from_head(head: &[u8], body_bytes: u64) -> Result<Learned> {
        ensure!(head.starts_with(STATUS), "not a 200: {}", first_line(head));
        let mut at = 0;
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            if line.len() > CONTENT_LENGTH.len()
                && line[..CONTENT_LENGTH.len()].eq_ignore_ascii_case(CONTENT_LENGTH)
            {
                let value = line[CONTENT_LENGTH.len()..].trim_ascii();
                let length: u64 = std::str::from_utf8(value)?.parse().context("content-length")?;
                ensure!(length == body_bytes, "{length} bytes instead of {body_bytes}");
                let blanks = line[CONTENT_LENGTH.len()..].len()
                    - line[CONTENT_LENGTH.len()..].trim_ascii_start().len();
                return Ok(Learned {
                    head_bytes: head.len(),
                    line_at: at,
                    length_at: at + CONTENT_LENGTH.len() + blanks,
                    length_digits: value.len(),
                });
            }
            at += line.len();
        }
        bail!("no Content-Length: {}", String::from_utf8_lossy(head))
    }

    fn fits(&self, bytes: &[u8], body_bytes: u64) -> bool {
        let length_end = self.length_at + self.length_digits;
        bytes.len() >= self.head_bytes
            && bytes.starts_with(STATUS)
            && bytes[..self.head_bytes].ends_with(END_OF_HEAD)
            && bytes[length_end] == b'\r'
            && bytes[self.line_at..][..CONTENT_LENGTH.len()].eq_ignore_ascii_case(CONTENT_LENGTH)
            && decimal(&bytes[self.length_at..length_end]) == Some(body_bytes)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn first_line(head: &[u8]) -> String {
    let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    String::from_utf8_lossy(&head[..end]).into_owned()
}

const STATUS: &[u8] = b"HTTP/1.1 200 ";
const CONTENT_LENGTH: &[u8] = b"content-length:";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nDate: today\r\n\r\nhello";

    fn check(stream: &[u8], step: usize) -> Result<u64> {
        let expected = Expected::exactly(b"hello");
        let mut reader = AnswerReader::default();
        let mut ended = 0;
        for part in stream.chunks(step) {
            ended += reader.feed(&expected, part)?;
        }
        assert!(reader.is_between_answers());
        Ok(ended)
    }

    #[test]
    fn counts_answers_however_they_are_split() {
        let stream = ANSWER.repeat(7);
        for step in 1..=stream.len() {
            assert_eq!(check(&stream, step).unwrap(), 7, "step {step}");
        }
    }

    #[test]
    fn a_wrong_answer_is_an_error_also_after_good_ones() {
        let good = String::from_utf8(ANSWER.to_vec()).unwrap();
        for wrong in [
            good.replace("200 OK", "500 No"),
            good.replace("hello", "hallo"),
            good.replace("Length: 5", "Length: 6"),
            good.replace("Length: 5", "Lengte: 5"),
            good.replace("HTTP/1.1", "HTTP/2.0"),
        ] {
            let stream = format!("{good}{wrong}{good}");
            assert!(check(stream.as_bytes(), stream.len()).is_err(), "{wrong}");
            assert!(check(stream.as_bytes(), 3).is_err(), "{wrong}");
        }
    }

    #[test]
    fn heads_of_another_length_are_parsed_anew() {
        let other = b"HTTP/1.1 200 OK\r\nX: 1\r\ncontent-length:5\r\n\r\nhello";
        let stream = [ANSWER, other, ANSWER].concat();
        assert_eq!(check(&stream, stream.len()).unwrap(), 3);
    }

    #[test]
    fn large_bodies_are_counted_by_length() {
        let expected = Expected::of_length(100_000);
        let mut stream = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
        stream.resize(stream.len() + 100_000, b'x');
        let stream = stream.repeat(2);
        let mut reader = AnswerReader::default();
        let ended: u64 =
            stream.chunks(4096).map(|part| reader.feed(&expected, part).unwrap()).sum();
        assert_eq!(ended, 2);
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut reader = AnswerReader::default();
        let expected = Expected::of_length(1);
        let outcome = (0..20).try_for_each(|_| reader.feed(&expected, &[b'x'; 1024]).map(|_| ()));
        assert!(outcome.is_err());
    }
}
