//! A certificate that signs itself, for development: made once, kept in a directory, made again
//! when it no longer serves.
//!
//! Nobody trusts it who was not told to. Its key is readable by Stead's user alone.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::aws_lc_rs;
use stead_core::Shared;
use stead_disk::{read_regular, replace};
use stead_sys::clock;

use crate::certificate::Certificate;
use crate::entry::{Entry, EntryOptions, FILE_BYTES_MAX, PemSource, Version};

/// The reserved name of the entry.
pub const SELF_SIGNED: &str = "self_signed";

/// How long one is valid: what the strictest clients take.
const VALID_FOR: Duration = Duration::from_hours(825 * 24);
/// One that ends sooner than this is made again at a start.
const LEFT_LEAST: Duration = Duration::from_hours(30 * 24);
/// So that a machine whose clock is a little late takes it.
const BEGAN: Duration = Duration::from_hours(24);

/// A self-signed certificate with its key, not kept anywhere yet.
pub struct SelfSigned {
    names: Vec<String>,
    certificate: String,
    key: String,
}

impl SelfSigned {
    /// Makes one for `localhost`, the loopback addresses and `hosts`, which may be wildcards and
    /// addresses.
    ///
    /// # Errors
    /// What is no host, or the key that could not be made.
    pub fn make(hosts: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        for host in hosts {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
            if !names.contains(&host) {
                names.push(host);
            }
        }
        let (certificate, key) = sign(&names).map_err(|error| error.to_string())?;
        Ok(Self { names, certificate, key })
    }

    /// The entry that shows it.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn entry(&self, shared: &Shared) -> Result<Entry, String> {
        let options = EntryOptions {
            name: SELF_SIGNED.to_owned(),
            certificate: PemSource::Bytes(self.certificate.as_bytes().into()),
            key: PemSource::Bytes(self.key.as_bytes().into()),
            clients: None,
            versions: vec![Version::Tls12, Version::Tls13],
        };
        Entry::load(options, shared)
            .map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))
    }

    /// Has `entry` show the certificate that is kept in `directory`, if it serves all the names;
    /// else keeps this one there.
    ///
    /// # Errors
    /// It could not be kept; the entry goes on with this one.
    pub fn keep(&self, entry: &Entry, directory: &Path) -> io::Result<()> {
        let (certificate, key) =
            (directory.join("self_signed.pem"), directory.join("self_signed.key"));
        let read = |path: &Path| read_regular(path, FILE_BYTES_MAX);
        if let (Ok(kept), Ok(kept_key)) = (read(&certificate), read(&key))
            && self.serves(&kept, &kept_key)
            && entry.replace(&kept, &kept_key).is_ok()
        {
            return Ok(());
        }
        replace(&key, self.key.as_bytes(), 0o600)?;
        replace(&certificate, self.certificate.as_bytes(), 0o644)
    }

    /// Whether another certificate does what this one does, for a while.
    fn serves(&self, certificate: &[u8], key: &[u8]) -> bool {
        let wall = clock::wall().as_secs();
        let parsed = Certificate::parse(certificate, key, &aws_lc_rs::default_provider(), wall);
        parsed.is_ok_and(|parsed| {
            parsed.not_after > wall + LEFT_LEAST.as_secs()
                && self.names.iter().all(|name| match name.strip_prefix('*') {
                    Some(below) => parsed.names.cover(&format!("a{below}")),
                    None => parsed.names.cover(name),
                })
        })
    }
}

fn sign(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Stead, self-signed");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BEGAN).into();
    params.not_after = (now - BEGAN + VALID_FOR).into();
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn made(hosts: &[&str]) -> SelfSigned {
        SelfSigned::make(hosts.iter().map(|host| (*host).to_owned())).expect("made")
    }

    #[test]
    fn one_is_kept_as_long_as_it_serves() {
        let directory = tempfile::tempdir().expect("a directory");
        let shared = Shared::default();
        let path = directory.path().join("self_signed.pem");
        let kept = || read_regular(&path, FILE_BYTES_MAX).expect("kept");
        let keep = |one: &SelfSigned| {
            let entry = one.entry(&shared).expect("an entry");
            one.keep(&entry, directory.path()).expect("kept");
            entry.names()
        };
        let first = made(&["shop.test", "*.a.test", "[2001:db8::1]"]);
        let names = keep(&first);
        for name in ["localhost", "shop.test", "*.a.test", "127.0.0.1", "::1", "2001:db8::1"] {
            assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
        }
        let text = kept();
        let names = keep(&made(&["shop.test"]));
        assert_eq!(kept(), text, "what serves more serves less");
        assert!(names.contains(&"*.a.test".to_owned()), "it is the first that is shown");
        keep(&made(&["other.test"]));
        assert_ne!(kept(), text);
        let key = directory.path().join("self_signed.key");
        let mode = fs::metadata(&key).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&key, "broken").expect("written");
        let text = kept();
        keep(&made(&["other.test"]));
        assert_ne!(kept(), text, "a key that does not belong is made again");
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 2);
    }
}
