//! A cursor over bytes whose lengths stand before them.
//!
//! Every method takes what it returns from the front, or says `None` and is not used again.

/// What was not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// As many bytes as the byte before them says.
    pub(crate) fn block8(&mut self) -> Option<&'a [u8]> {
        let bytes = self.u8()?;
        self.take(bytes.into())
    }

    /// As many bytes as the two bytes before them say.
    pub(crate) fn block16(&mut self) -> Option<&'a [u8]> {
        let bytes = self.u16()?;
        self.take(bytes.into())
    }
}
