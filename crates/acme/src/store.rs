//! What outlives the process: accounts, certificates with their keys, and what is remembered of
//! each host. A folder below the state directory that processes may share.
//!
//! ```text
//! acme/AUTHORITY/account.json     the account's key                     0600
//! acme/AUTHORITY/HOST.pem         a certificate's key and chain         0600
//! acme/AUTHORITY/HOST.json        when to renew, what failed            0600
//! acme/AUTHORITY/HOST.lock        who orders just now (flock)           0600
//! acme/AUTHORITY/HOST.challenge   what proves the host meanwhile        0600
//! ```
//!
//! INVARIANT: a file is whole or not there ([`stead_disk::replace`]). What a process that was
//! killed left half written the next one replaces.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use stead_disk::{Lock, read_regular, replace, short_digest};

use crate::certificate::Certificate;
use crate::record::Record;

/// What is kept for one authority.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens, or makes, what is kept in `acme` for the authority at `directory`, its URL.
    ///
    /// # Errors
    /// The folder cannot be made, belongs to somebody else, or is open to others; or `acme` is one
    /// in which others may write.
    pub fn open(acme: &Path, directory: &str) -> io::Result<Self> {
        let folder = acme.join(folder_name(directory));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        check_above(acme)?;
        check_own(&folder)?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate of a host, if there is one that can be served.
    pub fn certificate(&self, host: &str) -> Option<Certificate> {
        let path = self.path(host, "pem");
        let text = read(&path)?;
        match Certificate::parse(&text, host) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                tracing::warn!("{} is no certificate of {host}: {error}", path.display());
                None
            }
        }
    }

    /// Keeps a certificate in place of the one before.
    ///
    /// # Errors
    /// It could not be written; the one before is untouched.
    pub fn keep_certificate(&self, host: &str, certificate: &Certificate) -> io::Result<()> {
        write(&self.path(host, "pem"), certificate.pem())
    }

    /// Takes the lock under which a host's certificate is ordered, unless somebody holds it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn lock(&self, host: &str) -> io::Result<Option<Lock>> {
        Lock::take(&self.path(host, "lock"))
    }

    pub(crate) fn record(&self, host: &str) -> Record {
        let path = self.path(host, "json");
        let Some(text) = read(&path) else { return Record::default() };
        Record::parse(&text).unwrap_or_else(|| {
            tracing::warn!("{} is not readable and starts anew", path.display());
            Record::default()
        })
    }

    pub(crate) fn keep_record(&self, host: &str, record: &Record) -> io::Result<()> {
        write(&self.path(host, "json"), &record.to_text())
    }

    /// What proves a host, for processes that wait for the one which orders.
    pub(crate) fn challenge(&self, host: &str) -> Option<String> {
        read(&self.path(host, "challenge"))
    }

    pub(crate) fn keep_challenge(&self, host: &str, text: &str) -> io::Result<()> {
        write(&self.path(host, "challenge"), text)
    }

    pub(crate) fn remove_challenge(&self, host: &str) {
        // One that is left behind proves nothing any more.
        let _ = fs::remove_file(self.path(host, "challenge"));
    }

    /// The account, as [`Self::keep_account`] got it.
    pub(crate) fn account(&self) -> Option<String> {
        read(&self.folder.join(ACCOUNT))
    }

    pub(crate) fn keep_account(&self, text: &str) -> io::Result<()> {
        write(&self.folder.join(ACCOUNT), text)
    }

    /// Puts an account aside that the authority does not know any more.
    pub(crate) fn retire_account(&self) -> io::Result<()> {
        fs::rename(self.folder.join(ACCOUNT), self.folder.join("account.json.old"))
    }

    pub(crate) fn lock_account(&self) -> io::Result<Option<Lock>> {
        Lock::take(&self.folder.join("account.lock"))
    }

    fn path(&self, host: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", file_name(host)))
    }
}

const ACCOUNT: &str = "account.json";
/// Of a file that is ours; a chain has some 10 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text.as_bytes(), 0o600)
}

/// A file's text; none where there is no file, or it cannot be read.
fn read(path: &Path) -> Option<String> {
    let read = read_regular(path, FILE_BYTES_MAX);
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    text.inspect_err(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!("{}: {error}", path.display());
        }
    })
    .ok()
}

/// SECURITY: where others may write, what lies there may be a trap; where they may read, keys are.
fn check_own(folder: &Path) -> io::Result<()> {
    let facts = fs::symlink_metadata(folder)?;
    let message = if !facts.is_dir() || facts.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if facts.mode() & 0o077 != 0 {
        "is open to others: take that right from them (chmod 700)"
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("{} {message}", folder.display())))
}

/// SECURITY: who may write there puts a folder of its own in the place of ours.
fn check_above(acme: &Path) -> io::Result<()> {
    let facts = fs::metadata(acme)?;
    let message = if facts.uid() != rustix::process::geteuid().as_raw() && facts.uid() != 0 {
        "belongs to another user"
    } else if facts.mode() & 0o022 != 0 {
        "can be written by others: take that right from them (chmod go-w)"
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("{} {message}", acme.display())))
}

/// A host as a file's name. SECURITY: never leads out of the folder.
fn file_name(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let plain = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte),
        _ => '_',
    };
    let name: String = host.bytes().map(plain).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

/// The URL of a directory as a folder's name, with a digest so that no two meet.
fn folder_name(directory: &str) -> String {
    let bare = directory.strip_prefix("https://").unwrap_or(directory);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let word: String = bare.chars().take(64).map(plain).collect();
    format!("{}-{:08x}", word.trim_start_matches('.'), short_digest(directory.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::issued;
    use std::os::unix::fs::PermissionsExt;

    const URL: &str = "https://acme.example/directory";

    fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("acme"), URL).expect("opens")
    }

    #[test]
    fn a_certificate_is_kept_for_its_host_and_authority() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder);
        assert!(store.certificate("a.example").is_none());
        let pem = issued("a.example", 10, 20);
        let certificate = Certificate::parse(&pem, "a.example").expect("parses");
        store.keep_certificate("a.example", &certificate).expect("keeps");
        let kept = open(&folder).certificate("A.Example").expect("kept");
        assert_eq!(kept.pem(), pem);
        let other = Store::open(&folder.path().join("acme"), "https://other.example/directory");
        assert!(other.expect("opens").certificate("a.example").is_none());
    }

    #[test]
    fn a_torn_file_is_no_certificate_and_can_be_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder);
        fs::write(store.path("a.example", "pem"), "-----BEGIN").expect("writes");
        fs::write(store.path("a.example", "json"), "{").expect("writes");
        assert!(store.certificate("a.example").is_none());
        assert_eq!(store.record("a.example"), Record::default());
        let certificate = Certificate::parse(&issued("a.example", 1, 2), "a.example").expect("ok");
        store.keep_certificate("a.example", &certificate).expect("keeps");
        assert!(store.certificate("a.example").is_some());
    }

    #[test]
    fn security_keys_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder);
        let certificate = Certificate::parse(&issued("a.example", 1, 2), "a.example").expect("ok");
        store.keep_certificate("a.example", &certificate).expect("keeps");
        store.keep_account("{}").expect("keeps");
        store.keep_record("a.example", &Record::default()).expect("keeps");
        let lock = store.lock("a.example").expect("locks");
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode(store.folder()), 0o700);
        let mut files = 0;
        for entry in fs::read_dir(store.folder()).expect("reads").flatten() {
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            files += 1;
        }
        assert_eq!(files, 4);
        drop(lock);

        fs::set_permissions(store.folder(), fs::Permissions::from_mode(0o750)).expect("changes");
        let error = Store::open(&folder.path().join("acme"), URL).expect_err("open to others");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[test]
    fn security_nobody_else_writes_above_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        open(&folder);
        let acme = folder.path().join("acme");
        for (mode, is_fine) in [(0o755, true), (0o775, false), (0o777, false), (0o700, true)] {
            fs::set_permissions(&acme, fs::Permissions::from_mode(mode)).expect("changes");
            let opened = Store::open(&acme, URL);
            assert_eq!(opened.is_ok(), is_fine, "{mode:o} {opened:?}");
        }
        fs::set_permissions(&acme, fs::Permissions::from_mode(0o777)).expect("changes");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&acme, &link).expect("links");
        let error = Store::open(&link, URL).expect_err("open to others").to_string();
        assert!(error.contains("chmod go-w"), "{error}");
    }

    #[test]
    fn security_no_host_leads_out_of_the_folder() {
        for host in ["../../etc/passwd", "..", ".", "/etc/passwd", "a/../b", "\0", "é"] {
            let name = file_name(host);
            assert!(!name.contains('/') && !name.starts_with('.'), "{host} {name}");
        }
        assert_eq!(file_name("WWW.Example.com"), "www.example.com");
    }

    #[test]
    fn authorities_never_meet() {
        let names = [
            folder_name("https://acme-v02.api.letsencrypt.org/directory"),
            folder_name("https://acme-staging-v02.api.letsencrypt.org/directory"),
            folder_name("https://a.example/x-y"),
            folder_name("https://a.example/x/y"),
            folder_name("https://../.."),
        ];
        assert!(names[0].starts_with("acme-v02.api.letsencrypt.org-directory-"), "{names:?}");
        for (index, name) in names.iter().enumerate() {
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
