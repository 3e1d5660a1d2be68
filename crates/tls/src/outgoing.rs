//! Records on their way to the peer, in a buffer that somebody lends.

/// Bytes to be sent, those that were sent already before them.
///
/// PERF: what was once written stays initialized, so that sealing the next 48 KiB of a large answer
/// clears nothing first.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// As long as it was ever filled; `start..end` is to be sent.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Outgoing {
    /// Takes a buffer to fill, where it has none.
    pub fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffer();
        }
    }

    /// Gives the buffer back; what was not sent is lost.
    pub fn take(&mut self) -> Vec<u8> {
        (self.start, self.end) = (0, 0);
        std::mem::take(&mut self.bytes)
    }

    /// What is to be sent.
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// `count` bytes were sent.
    pub fn sent(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for `count` bytes behind what is to be sent; [`Outgoing::fill`] says how many of them
    /// hold something.
    pub(crate) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.start > 0 && self.bytes.len() < self.end + count {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = self.end + count;
        if self.bytes.len() < wanted {
            self.bytes.reserve_exact(wanted - self.bytes.len());
            self.bytes.resize(wanted, 0);
        }
        &mut self.bytes[self.end..wanted]
    }

    /// The first `count` bytes of the room are to be sent.
    pub(crate) fn fill(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_makes_room() {
        let mut outgoing = Outgoing::default();
        outgoing.lend(|| Vec::with_capacity(8));
        outgoing.room(6).copy_from_slice(b"abcdef");
        outgoing.fill(5);
        assert_eq!(outgoing.unsent(), b"abcde");
        outgoing.sent(3);
        outgoing.room(6).copy_from_slice(b"fghijk");
        outgoing.fill(6);
        assert_eq!(outgoing.unsent(), b"defghijk");
        outgoing.sent(8);
        assert!(outgoing.is_empty());
        assert!(outgoing.take().capacity() >= 8);
        assert!(outgoing.unsent().is_empty());
    }
}
