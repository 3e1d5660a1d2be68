//! Reading what an operator named, within a bound: what was named by mistake neither fills the
//! memory nor hangs the start.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The bytes of a regular file of at most `bytes_max`. Never waits for anything but the disk.
///
/// # Errors
/// `IsADirectory`; `InvalidInput` where it is a pipe, a device or a socket; `FileTooLarge`; else
/// what the system said.
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Before it is opened: that alone waits for a pipe's other end, and does things to a device.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !kind.is_file() {
        let message = format!("it is {} and no regular file", word(kind));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    read_bounded(path, bytes_max)
}

/// The bytes of whatever is at `path`, which may be a pipe: then it waits for who writes it.
///
/// # Errors
/// `FileTooLarge` beyond `bytes_max`; else what the system said.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let message = match bytes_max {
            max if max >= 1 << 20 => format!("it is larger than {} MiB", max >> 20),
            max => format!("it is larger than {} KiB", max >> 10),
        };
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn word(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        std::fs::write(&path, vec![b'#'; 2049]).expect("writes");
        assert_eq!(read_regular(&path, 2049).expect("fits").len(), 2049);
        let error = read_regular(&path, 2048).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 2 KiB");
        let error = read_bounded(Path::new("/dev/zero"), 1 << 20).expect_err("without end");
        assert_eq!(error.to_string(), "it is larger than 1 MiB");
    }

    #[test]
    fn what_would_have_to_be_waited_for_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let refused = |path: &Path| read_regular(path, 9).expect_err("refused").to_string();
        assert_eq!(refused(directory.path()), "it is a directory");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device and no regular file");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("binds");
        assert_eq!(refused(&socket), "it is a socket and no regular file");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
        assert!(made.success());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("links");
        for path in [pipe, link] {
            assert_eq!(refused(&path), "it is a pipe and no regular file");
        }
    }
}
