//! What a decoder makes of an input that arrives in pieces, written down so that two runs compare.
//!
//! A decoder must say the same whatever the pieces: the promise behind "parsed once, read the same
//! by everyone".

use stead_base::Reason;
use stead_http1::{Event, Fields, Step};

/// One entry of a transcript; neighbouring pieces of content are one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A head, as its decoder's owner writes it down.
    Head(String),
    Content(Vec<u8>),
    Trailers(String),
    End,
    /// Bytes behind the last message that the decoder reads.
    Rest(usize),
    Broken(Reason),
}

/// A decoder with its head.
pub(crate) trait Decoder {
    fn decode(&mut self, input: &[u8]) -> Result<Step, Reason>;
    /// The head, complete.
    fn head(&mut self) -> String;
    fn trailers(&self) -> String;
    fn eof(&mut self) -> Result<(), Reason>;
    /// Whether another message may follow the one that just ended.
    fn goes_on(&self) -> bool;
}

/// How an input arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pieces {
    Whole,
    Bytes,
    /// Pieces of 1 to 16 bytes that this number decides.
    Mixed(u64),
}

/// Feeds the input in pieces and writes down what the decoder says.
///
/// # Panics
/// Where the decoder consumes what it was not given, or makes no progress.
pub(crate) fn transcript(decoder: &mut impl Decoder, input: &[u8], pieces: Pieces) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut start, mut end) = (0, 0);
    let mut pieces = Lengths(pieces);
    let mut calls = 0;
    loop {
        // Every event but End takes at least a byte, and End follows a head.
        calls += 1;
        assert!(calls <= 4 * input.len() + 16, "the decoder makes no progress");
        let given = &input[start..end];
        let step = match decoder.decode(given) {
            Ok(step) => step,
            Err(reason) => {
                assert_eq!(decoder.decode(given), Err(reason), "an error is final");
                entries.push(Entry::Broken(reason));
                return entries;
            }
        };
        assert!(step.consumed <= given.len(), "consumed more than there was");
        start += step.consumed;
        match step.event {
            Event::Pending if end == input.len() => break,
            Event::Pending => end = input.len().min(end + pieces.next()),
            Event::Head => entries.push(Entry::Head(decoder.head())),
            Event::Data(range) => {
                assert!(!range.is_empty() && range.end <= step.consumed, "content {range:?}");
                append(&mut entries, &given[range]);
            }
            Event::Trailers => entries.push(Entry::Trailers(decoder.trailers())),
            Event::End => {
                entries.push(Entry::End);
                if !decoder.goes_on() {
                    entries.push(Entry::Rest(input.len() - start));
                    return entries;
                }
            }
        }
    }
    if let Err(reason) = decoder.eof() {
        entries.push(Entry::Broken(reason));
    }
    entries
}

/// Fails if the input means something else in pieces.
pub(crate) fn check_pieces<D: Decoder>(new: impl Fn() -> D, input: &[u8]) -> Vec<Entry> {
    let whole = transcript(&mut new(), input, Pieces::Whole);
    let seed = input.iter().fold(1, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(*byte));
    for pieces in [Pieces::Bytes, Pieces::Mixed(seed)] {
        let other = transcript(&mut new(), input, pieces);
        assert_eq!(whole, other, "{pieces:?} of {}", input.escape_ascii());
    }
    whole
}

/// All fields in order, as text.
pub(crate) fn fields(fields: &Fields) -> String {
    format!("{fields:?}")
}

fn append(entries: &mut Vec<Entry>, content: &[u8]) {
    if let Some(Entry::Content(before)) = entries.last_mut() {
        before.extend_from_slice(content);
    } else {
        entries.push(Entry::Content(content.to_vec()));
    }
}

struct Lengths(Pieces);

impl Lengths {
    fn next(&mut self) -> usize {
        match &mut self.0 {
            Pieces::Whole => usize::MAX / 2,
            Pieces::Bytes => 1,
            Pieces::Mixed(seed) => {
                *seed ^= *seed << 13;
                *seed ^= *seed >> 7;
                *seed ^= *seed << 17;
                (*seed % 16) as usize + 1
            }
        }
    }
}
