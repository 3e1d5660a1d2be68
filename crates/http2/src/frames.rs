//! Follows the frames of a connection through whatever pieces they come in.
//!
//! Keeps the head of one frame and how much of it is left, never a byte of its content, save the
//! one that says how much of a DATA frame is padding, by how much the connection's window opens,
//! and with what windows streams begin (RFC 9113 §4.1, §6.1, §6.5.2, §6.9).

use crate::PREFACE;

/// Where in the bytes of a connection we are.
#[derive(Debug)]
pub(crate) struct Frames {
    place: Place,
    head: [u8; HEAD_BYTES],
}

pub(crate) const HEAD_BYTES: usize = 9;

#[derive(Debug)]
enum Place {
    /// So many bytes of the preface were read.
    Preface(usize),
    /// So many bytes of a frame's head were read.
    Head(usize),
    /// Before the byte that tells the padding of a DATA frame.
    Padding(Head),
    /// So many bytes of a `WINDOW_UPDATE` were read, and what they say so far.
    Increment(u32, u32),
    /// So many bytes of SETTINGS are left, and the last six: of the one under way.
    Setting(u32, u16, u32),
    /// So many bytes of a frame's content are left.
    Content(u32),
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

/// What the next bytes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All bytes were used.
    Nothing,
    /// Not the preface.
    BadPreface,
    /// A frame begins.
    Frame(Head),
    /// A DATA frame begins, with so many bytes of data.
    Data(Head, u32),
    /// The window of the connection opens by so many bytes.
    Opened(u32),
    /// Windows of streams begin with so many bytes, and those that there are move.
    Began(u32),
}

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PUSH_PROMISE: u8 = 0x5;
pub(crate) const PING: u8 = 0x6;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

/// Flags that we look at. `ACK` and `END_STREAM` are the same bit, of different frames.
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
/// Bytes of one setting, and the one that we look at (RFC 9113 §6.5).
const SETTING_BYTES: u32 = 6;
const INITIAL_WINDOW_SIZE: u16 = 0x4;

impl Frames {
    pub(crate) fn new() -> Self {
        Self { place: Place::Preface(0), head: [0; HEAD_BYTES] }
    }

    /// Uses a beginning of `bytes`, up to what it finds.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Found {
        while !bytes.is_empty() {
            match self.place {
                Place::Preface(read) => {
                    let count = bytes.len().min(PREFACE.len() - read);
                    if PREFACE.get(read..read + count) != take(bytes, count) {
                        return Found::BadPreface;
                    }
                    let is_whole = read + count == PREFACE.len();
                    self.place =
                        if is_whole { Place::Head(0) } else { Place::Preface(read + count) };
                }
                Place::Head(read) => {
                    let count = bytes.len().min(HEAD_BYTES - read);
                    let part = take(bytes, count).unwrap_or_default();
                    if let Some(place) = self.head.get_mut(read..read + count) {
                        place.copy_from_slice(part);
                    }
                    if read + count < HEAD_BYTES {
                        self.place = Place::Head(read + count);
                        return Found::Nothing;
                    }
                    let head = Head::parse(self.head);
                    if head.kind == DATA && head.flags & PADDED != 0 && head.length > 0 {
                        self.place = Place::Padding(head);
                        continue;
                    }
                    self.place = content(head.length);
                    if head.kind == WINDOW_UPDATE && head.stream == 0 && head.length == 4 {
                        self.place = Place::Increment(0, 0);
                    }
                    if head.kind == SETTINGS && head.length > 0 {
                        self.place = Place::Setting(head.length, 0, 0);
                    }
                    return match head.kind {
                        DATA => Found::Data(head, head.length),
                        _ => Found::Frame(head),
                    };
                }
                Place::Padding(head) => {
                    let padding = take(bytes, 1).and_then(<[u8]>::first).copied().unwrap_or(0);
                    self.place = content(head.length - 1);
                    return Found::Data(head, (head.length - 1).saturating_sub(padding.into()));
                }
                Place::Increment(read, so_far) => {
                    let next = take(bytes, 1).and_then(<[u8]>::first).copied().unwrap_or(0);
                    let increment = so_far << 8 | u32::from(next);
                    if read < 3 {
                        self.place = Place::Increment(read + 1, increment);
                        continue;
                    }
                    self.place = Place::Head(0);
                    return Found::Opened(increment & 0x7fff_ffff);
                }
                Place::Setting(left, kind, value) => {
                    let next = take(bytes, 1).and_then(<[u8]>::first).copied().unwrap_or(0);
                    let kind = kind << 8 | (value >> 24) as u16;
                    let value = value << 8 | u32::from(next);
                    let left = left - 1;
                    self.place = match left {
                        0 => Place::Head(0),
                        _ => Place::Setting(left, kind, value),
                    };
                    if left.is_multiple_of(SETTING_BYTES) && kind == INITIAL_WINDOW_SIZE {
                        return Found::Began(value);
                    }
                }
                Place::Content(left) => {
                    let count = bytes.len().min(left as usize);
                    take(bytes, count);
                    self.place = content(left - count as u32);
                }
            }
        }
        Found::Nothing
    }
}

impl Head {
    pub(crate) fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, stream @ ..] = bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            // The first bit is reserved and ignored.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn content(left: u32) -> Place {
    if left == 0 { Place::Head(0) } else { Place::Content(left) }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    bytes.split_off(..count)
}
