//! The guard of HTTP/2 connections: what it finds does not depend on how the bytes were cut, and a
//! slower reader of the same rules finds the same.
//!
//! The first byte says how the rest is cut; the preface is put before it, or nobody would find one.

use stead_base::Tick;
use stead_http2::{FRAME_BYTES_MAX, Guard, PREFACE, Violation};

/// Any bytes as what follows the preface.
pub fn http2(input: &[u8]) {
    let Some((piece, rest)) = input.split_first() else { return };
    let now = Tick::from_millis(1_000);
    let _ = Guard::new(now).read(rest, now);
    let bytes = [PREFACE, rest].concat();
    let whole = Guard::new(now).read(&bytes, now);
    let mut guard = Guard::new(now);
    let mut cut = Ok(());
    for piece in bytes.chunks(usize::from(*piece) + 1) {
        cut = guard.read(piece, now);
    }
    assert_eq!(cut, whole, "cut into pieces of {}", usize::from(*piece) + 1);
    let first = model(rest);
    let expected = matches!(first, Some(Violation::NoSettings | Violation::FrameTooLarge));
    if expected || matches!(whole, Err(Violation::NoSettings | Violation::FrameTooLarge)) {
        // Floods may end the connection before the model's frame comes.
        let is_sooner = !matches!(whole, Err(Violation::NoSettings | Violation::FrameTooLarge));
        assert!(whole.is_err() && (is_sooner || whole.err() == first), "{whole:?}, not {first:?}");
    }
    if whole.is_err() {
        assert_eq!(guard.read(b"", now), whole, "a violation is kept");
    }
}

/// The first frame that is too large, or stands where SETTINGS must.
fn model(mut bytes: &[u8]) -> Option<Violation> {
    let mut is_first = true;
    while let Some(([a, b, c, kind, flags, ..], rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        // The guard reads the padding's length before it judges a padded DATA frame.
        if *kind == 0 && flags & 8 != 0 && length > 0 && rest.is_empty() {
            return None;
        }
        if length > FRAME_BYTES_MAX {
            return Some(Violation::FrameTooLarge);
        }
        if std::mem::take(&mut is_first) && (*kind != 4 || flags & 1 != 0) {
            return Some(Violation::NoSettings);
        }
        bytes = rest.get(length as usize..)?;
    }
    None
}
