//! Follows the frames that we send, for what the protocol says of its own accord.
//!
//! It answers heads that are far too large, refuses streams beyond their limit and resets those
//! whose peer broke a rule, and tells nobody. Keeps the head of one frame, and the number in a
//! `RST_STREAM` or `WINDOW_UPDATE` (RFC 9113 §4.1, §6.4, §6.9).

use crate::frames::{END_STREAM, HEAD_BYTES, HEADERS, Head, RST_STREAM, WINDOW_UPDATE};

/// Where in the bytes that we send we are.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The head of a frame, and the number that it holds.
    kept: [u8; HEAD_BYTES + NUMBER_BYTES],
    /// How many of those are there.
    count: u8,
    /// How many bytes of a frame's content are left.
    left: u32,
}

const NUMBER_BYTES: usize = 4;

/// What was said of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// An answer that has no body.
    Answer(u32),
    /// A reset, with its code.
    Reset(u32, u32),
    /// The peer may send so many bytes more on the whole connection.
    Grant(u32),
}

impl Written {
    /// Uses a beginning of `bytes`, up to what is worth telling.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Said> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = bytes.len().min(self.left as usize);
                let _ = bytes.split_off(..count);
                self.left -= count as u32;
                continue;
            }
            let read = usize::from(self.count);
            let has_number = read >= HEAD_BYTES;
            let wanted = if has_number { self.kept.len() } else { HEAD_BYTES };
            let count = bytes.len().min(wanted - read);
            let part = bytes.split_off(..count).unwrap_or_default();
            if let Some(place) = self.kept.get_mut(read..read + count) {
                place.copy_from_slice(part);
            }
            self.count += count as u8;
            if read + count < wanted {
                return None;
            }
            let [head @ .., n0, n1, n2, n3] = self.kept;
            let head = Head::parse(head);
            if has_number {
                self.count = 0;
                let number = u32::from_be_bytes([n0, n1, n2, n3]);
                match (head.kind, head.stream) {
                    (RST_STREAM, stream) => return Some(Said::Reset(stream, number)),
                    (_, 0) => return Some(Said::Grant(number)),
                    _ => continue,
                }
            }
            let holds_number = matches!(head.kind, RST_STREAM | WINDOW_UPDATE);
            if holds_number && head.length as usize == NUMBER_BYTES {
                continue;
            }
            self.count = 0;
            self.left = head.length;
            if head.kind == HEADERS && head.has(END_STREAM) {
                return Some(Said::Answer(head.stream));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = &[
        0, 0, 0, 4, 1, 0, 0, 0, 0, // SETTINGS
        0, 0, 2, 1, 4, 0, 0, 0, 1, 9, 9, // HEADERS that do not end
        0, 0, 3, 0, 1, 0, 0, 0, 1, 1, 2, 3, // DATA
        0, 0, 1, 1, 5, 0, 0, 0, 3, 9, // HEADERS that end
        0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 7, // RST_STREAM
        0, 0, 4, 8, 0, 0, 0, 0, 5, 0, 0, 0, 9, // WINDOW_UPDATE of a stream
        0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, // WINDOW_UPDATE of the connection
        0, 0, 0, 1, 5, 0, 0, 0, 7, // HEADERS that end
    ];

    #[test]
    fn what_is_said_is_found_however_it_is_cut() {
        let expect = [Said::Answer(3), Said::Reset(5, 7), Said::Grant(256), Said::Answer(7)];
        for size in 1..=BYTES.len() {
            let mut written = Written::default();
            let mut said = Vec::new();
            for mut piece in BYTES.chunks(size) {
                while let Some(next) = written.next(&mut piece) {
                    said.push(next);
                }
            }
            assert_eq!(said, expect, "in pieces of {size}");
        }
    }
}
