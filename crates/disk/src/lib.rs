//! Files as this program reads and keeps them: read within a bound, written as a whole, locked
//! between processes. Standard library only.
//!
//! Used at start and by what runs beside the workers, never for a request: everything here may
//! sleep on the disk.

#![forbid(unsafe_code)]

mod lock;
mod read;
mod replace;

pub use lock::Lock;
pub use read::{read_bounded, read_regular};
pub use replace::replace;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory for this user alone, unless it exists; parents as the system makes them.
///
/// # Errors
/// What the system said.
pub fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Part of a name on the disk, only to tell apart what names stand for: FNV-1a, folded to 32 bits.
pub fn short_digest(bytes: &[u8]) -> u32 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    (hash ^ hash >> 32) as u32
}
