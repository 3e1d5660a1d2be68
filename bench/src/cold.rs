//! Files on disk that are in no cache, and clients that fetch them all.
//!
//! `POSIX_FADV_DONTNEED` drops clean pages, so the files are synced first; `preadv2` with
//! `RWF_NOWAIT` then tells whether a page is still there. The clients run at the lowest priority:
//! on one core they must not delay the client whose latency is measured.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::nice;

use crate::answer::{AnswerReader, Expected};
use crate::http::content;
use crate::loader::{open_socket, request};

pub struct ColdFiles {
    folder: PathBuf,
    count: usize,
    file_bytes: u64,
}

impl ColdFiles {
    /// Writes `total_bytes` in files of `file_bytes` below `root`.
    pub fn create(root: &Path, total_bytes: u64, file_bytes: u64) -> Result<ColdFiles> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let count = usize::try_from(total_bytes / file_bytes)?;
        let content = content(usize::try_from(file_bytes)?);
        for index in 0..count {
            let path = folder.join(index.to_string());
            fs::write(&path, &content).with_context(|| format!("write {}", path.display()))?;
            File::open(&path)?.sync_all()?;
        }
        Ok(ColdFiles { folder, count, file_bytes })
    }

    pub fn total_bytes(&self) -> u64 {
        self.count as u64 * self.file_bytes
    }

    /// Drops all files from the page cache.
    ///
    /// # Errors
    /// They stay there: the folder is on no real disk.
    pub fn make_cold(&self) -> Result<()> {
        let mut resident = 0;
        for index in 0..self.count {
            let file = File::open(self.folder.join(index.to_string()))?;
            fadvise(&file, 0, NonZeroU64::new(self.file_bytes), Advice::DontNeed)?;
            resident += usize::from(is_resident(&file, self.file_bytes / 2)?);
        }
        ensure!(
            resident <= self.count / RESIDENT_DIVISOR,
            "{resident} of {} files stay in memory: --out must lie on a real disk",
            self.count
        );
        Ok(())
    }

    /// Fetches every file once over [`CLIENTS`] connections and checks status and length.
    pub fn fetch_all(&self, address: SocketAddr) -> Result<()> {
        let next = AtomicUsize::new(0);
        scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| self.fetch_from(address, &next))).collect();
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
        })
    }

    fn fetch_from(&self, address: SocketAddr, next: &AtomicUsize) -> Result<()> {
        // Linux gives each thread its own priority.
        nice(LOWEST_PRIORITY)?;
        let socket = open_socket(address)?;
        let expected = Expected::of_length(self.file_bytes);
        let mut reader = AnswerReader::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return Ok(());
            }
            let asked = request(address, &format!("/{FOLDER}/{index}"), "");
            let sent = send(&socket, &asked, SendFlags::NOSIGNAL)?;
            ensure!(sent == asked.len(), "a request did not fit into the send buffer");
            let mut ended = 0;
            while ended == 0 {
                let (came, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
                ensure!(came > 0, "the server closed a connection");
                ended = reader.feed(&expected, &buffer[..came]).context("a cold file")?;
            }
        }
    }
}

impl Drop for ColdFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_resident(file: &File, offset: u64) -> Result<bool> {
    let mut byte = [0];
    match preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error).context("ask whether a page is in memory"),
    }
}

const FOLDER: &str = "cold";
const CLIENTS: usize = 4;
const READ_BYTES: usize = 64 * 1024;
const LOWEST_PRIORITY: i32 = 19;
/// One file in this many may stay, for another process may look at the folder.
const RESIDENT_DIVISOR: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cold_until_they_are_read() {
        // The build folder is on a disk where the temporary folder may not be.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("out/cold-test");
        let files = ColdFiles::create(&root, 4 << 20, 1 << 20).unwrap();
        let file = File::open(root.join(FOLDER).join("0")).unwrap();
        if files.make_cold().is_ok() {
            assert!(!is_resident(&file, 0).unwrap());
            std::io::copy(&mut &file, &mut std::io::sink()).unwrap();
            assert!(is_resident(&file, 0).unwrap());
        }
        drop(files);
        fs::remove_dir_all(root).unwrap();
    }
}
