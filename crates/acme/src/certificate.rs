//! One issued certificate with its chain and key: what is stored, and what is served.
//!
//! As text it is one PEM file, key first: both are replaced by one rename and never belong to
//! different certificates.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate that can be served: its chain, leaf first, and its key.
#[derive(Clone)]
pub struct Certificate {
    pem: Arc<str>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why a text is no certificate that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateError(String);

impl Certificate {
    /// Reads a key and a chain from `pem`, for `host`.
    ///
    /// # Errors
    /// What is missing or does not fit: the key belongs to another certificate, or the certificate
    /// to another host; or it is larger than clients take.
    pub fn parse(pem: &str, host: &str) -> Result<Self, CertificateError> {
        if pem.len() > PEM_BYTES_MAX {
            return Err(CertificateError(format!("larger than {} KiB", PEM_BYTES_MAX >> 10)));
        }
        let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = read.map_err(|error| CertificateError(format!("no PEM: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
        let key = key.map_err(|error| CertificateError(format!("no private key: {error}")))?;
        if chain.len() > CHAIN_MAX {
            return Err(CertificateError(format!("a chain of more than {CHAIN_MAX}")));
        }
        let Some(leaf) = chain.first() else {
            return Err(CertificateError("no certificate in it".to_owned()));
        };
        let (not_before, not_after) = validity(leaf, host)?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider())
            .map_err(|error| CertificateError(format!("the key does not fit: {error}")))?;
        Ok(Self { pem: pem.into(), chain, key: Arc::new(key), not_before, not_after })
    }

    /// Whether clients take it at `now`.
    ///
    /// # Errors
    /// It has ended, or has not begun.
    pub(crate) fn check_time(&self, now: SystemTime) -> Result<(), CertificateError> {
        let shown = |of: Duration| {
            let unit = if of < DAY { 1 } else { DAY.as_secs() };
            stead_base::format_duration(Duration::from_secs(of.as_secs() / unit * unit))
        };
        if let Ok(since) = now.duration_since(self.not_after)
            && !since.is_zero()
        {
            return Err(CertificateError(format!("it ended {} ago", shown(since))));
        }
        match self.not_before.duration_since(now) {
            Ok(left) if !left.is_zero() => {
                Err(CertificateError(format!("it begins in {}", shown(left))))
            }
            _ => Ok(()),
        }
    }

    /// Key and chain as they are stored. SECURITY: holds the private key.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The chain, leaf first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key of the leaf.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// From when it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl fmt::Debug for Certificate {
    /// SECURITY: without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

const DAY: Duration = Duration::from_hours(24);
/// SECURITY: whoever shows it sends it with every handshake. Clients take some 64 KiB of ten
/// certificates; authorities send two or three.
const CHAIN_MAX: usize = 10;
const PEM_BYTES_MAX: usize = 64 << 10;

/// From when until when a leaf is valid, if it names `host`.
fn validity(leaf: &[u8], host: &str) -> Result<(SystemTime, SystemTime), CertificateError> {
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|error| CertificateError(format!("no X.509 certificate: {error}")))?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let is_host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => name.eq_ignore_ascii_case(host),
        _ => false,
    };
    if !names.iter().any(is_host) {
        return Err(CertificateError(format!("it does not name {host}")));
    }
    let validity = parsed.validity();
    Ok((at(validity.not_before.timestamp()), at(validity.not_after.timestamp())))
}

/// Seconds since 1970; earlier ones are 1970.
fn at(unix_s: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix_s).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::issued;

    #[test]
    fn reads_its_own_host_and_no_other() {
        let pem = issued("a.example", 1_000, 2_000);
        let certificate = Certificate::parse(&pem, "A.example").expect("reads");
        assert_eq!(certificate.not_before(), at(1_000));
        assert_eq!(certificate.not_after(), at(2_000));
        assert_eq!(certificate.chain().len(), 1);
        let error = Certificate::parse(&pem, "b.example").expect_err("another host").to_string();
        assert_eq!(error, "it does not name b.example");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (issued("a.example", 0, 9), issued("a.example", 0, 9));
        let key = one.split_inclusive("-----END PRIVATE KEY-----\n").next().expect("a key");
        let chain = other.split_once("-----BEGIN CERT").expect("a chain").1;
        let mixed = format!("{key}-----BEGIN CERT{chain}");
        let error = Certificate::parse(&mixed, "a.example").expect_err("mixed").to_string();
        assert!(error.starts_with("the key does not fit"), "{error}");
    }

    #[test]
    fn what_is_torn_is_an_error_and_never_a_panic() {
        let pem = issued("a.example", 0, 9);
        for end in 0..pem.len() - 30 {
            assert!(Certificate::parse(&pem[..end], "a.example").is_err(), "cut at {end}");
        }
    }

    #[test]
    fn security_a_chain_is_no_longer_than_clients_take() {
        let pem = issued("a.example", 0, 9);
        let leaf = pem.split_once("-----BEGIN CERT").expect("a chain").1;
        let chain = |more: usize| format!("{pem}{}", format!("-----BEGIN CERT{leaf}").repeat(more));
        assert!(Certificate::parse(&chain(CHAIN_MAX - 1), "a.example").is_ok());
        let refused = |pem: &str| Certificate::parse(pem, "a.example").expect_err("long").0;
        assert_eq!(refused(&chain(CHAIN_MAX)), "a chain of more than 10");
        assert_eq!(refused(&chain(1_000)), "larger than 64 KiB");
    }

    #[test]
    fn it_is_taken_from_its_begin_to_its_end() {
        let of = |from, until| {
            Certificate::parse(&issued("a.example", from, until), "a.example").expect("reads")
        };
        let certificate = of(1_000, 2_000);
        let refused = |unix_s| certificate.check_time(at(unix_s)).map_err(|error| error.0);
        assert_eq!(refused(940).expect_err("too early"), "it begins in 1m");
        assert_eq!((refused(1_000), refused(2_000)), (Ok(()), Ok(())));
        assert_eq!(refused(2_001).expect_err("too late"), "it ended 1s ago");
    }

    #[test]
    fn security_the_key_is_never_shown() {
        let pem = issued("a.example", 0, 9);
        let shown = format!("{:?}", Certificate::parse(&pem, "a.example").expect("reads"));
        assert!(!shown.contains("key") && !shown.contains("PRIVATE"), "{shown}");
    }
}
