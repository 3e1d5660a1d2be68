//! A certificate chain with its key, and the certificates by which clients are known: read from
//! PEM, and everything about them that would make a server useless or weak said at once.
//!
//! Sources: RFC 7468 (PEM), RFC 5280 §4.1.2.5 (validity), §4.2.1.6 (names), RFC 8446 §4.4.2 (order
//! of a chain).

use std::net::IpAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;

use crate::names::Names;
use crate::problem::{Part, Problem};

/// A chain with its key, fit to serve.
pub(crate) struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) names: Names,
    /// Seconds since 1970.
    pub(crate) not_after: u64,
}

/// Keys of RSA that are shorter can be broken, or are refused by clients.
const RSA_BITS_MIN: usize = 2048;
/// Larger ones are refused by what signs with them.
const RSA_BITS_MAX: usize = 8192;

impl Certificate {
    /// Reads a chain and its key from PEM. `wall` is the time in seconds since 1970.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn parse(
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
        wall: u64,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let chain = certificates(chain, Part::Certificate, &mut problems);
        let key = private_key(key, &mut problems);
        let leaf = chain.first().map(|leaf| leaf.as_ref().to_vec());
        let Some(leaf) = leaf else { return Err(problems) };
        let Ok((_, leaf)) = parse_x509_certificate(&leaf) else {
            let help = "export it again from where it was made";
            let message = "the first certificate cannot be read";
            problems.push(Problem::new(Part::Certificate, message, help));
            return Err(problems);
        };
        let facts = Facts::of(&leaf, wall, &mut problems);
        check_order(&chain, &mut problems);
        let key = key.and_then(|key| pair(chain, key, provider, &mut problems));
        match key {
            Some(key) if problems.is_empty() => {
                Ok(Self { key: Arc::new(key), names: facts.names, not_after: facts.not_after })
            }
            _ => Err(problems),
        }
    }
}

/// What Stead wants to know of a leaf.
struct Facts {
    names: Names,
    not_after: u64,
}

impl Facts {
    fn of(leaf: &X509Certificate<'_>, wall: u64, problems: &mut Vec<Problem>) -> Self {
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let not_after = seconds(leaf.validity().not_after.timestamp());
        let not_before = seconds(leaf.validity().not_before.timestamp());
        let mut say = |message: String, help: &str| {
            problems.push(Problem::new(Part::Certificate, message, help));
        };
        if wall > not_after {
            let ended = leaf.validity().not_after;
            say(format!("the certificate expired on {ended}"), "renew it");
        } else if wall < not_before {
            let begins = leaf.validity().not_before;
            let help = "wait until then, or set this machine's clock";
            say(format!("the certificate is not valid before {begins}"), help);
        }
        if let Ok(PublicKey::RSA(key)) = leaf.public_key().parsed() {
            let bits = bits_of(key.modulus);
            if bits < RSA_BITS_MIN {
                let help = "make one of 2048 bits, or an ECDSA key";
                say(format!("the RSA key has only {bits} bits"), help);
            } else if bits > RSA_BITS_MAX {
                say(format!("the RSA key has {bits} bits"), "make one of at most 8192 bits");
            }
        }
        let names = names(leaf);
        if names.is_empty() {
            say("the certificate names no host".into(), "ask for one with `subjectAltName`");
        }
        Self { names, not_after }
    }
}

fn bits_of(modulus: &[u8]) -> usize {
    let significant = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let first = modulus.get(significant).map_or(0, |byte| byte.leading_zeros() as usize);
    (modulus.len() - significant) * 8 - first
}

/// The names of a certificate; its common name only where it has none of the newer kind.
fn names(leaf: &X509Certificate<'_>) -> Names {
    let mut names = Names::default();
    let alternative = leaf.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.add(name),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                if let Ok(address) = address {
                    names.add_address(address);
                }
            }
            _ => {}
        }
    }
    if alternative.is_none() {
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        common.for_each(|name| names.add(name));
    }
    names
}

/// Each certificate must have signed the one before it.
fn check_order(chain: &[CertificateDer<'_>], problems: &mut Vec<Problem>) {
    let parsed: Vec<_> = chain
        .iter()
        .filter_map(|one| parse_x509_certificate(one).ok())
        .map(|(_, one)| one)
        .collect();
    for (place, pair) in parsed.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() {
            let message = format!(
                "certificate {} did not sign certificate {}: the chain is out of order",
                place + 2,
                place + 1
            );
            let help = "the server's own certificate comes first, then the one that signed it";
            problems.push(Problem::new(Part::Certificate, message, help));
            return;
        }
    }
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    problems: &mut Vec<Problem>,
) -> Option<CertifiedKey> {
    use rustls::{Error, InconsistentKeys};
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(key) => Some(key),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let help = "name the key that the certificate was asked for with";
            let message = "the key does not belong to the certificate";
            problems.push(Problem::new(Part::Key, message, help));
            None
        }
        Err(_) => {
            let message = "the key is of a kind that is not supported";
            let help = "RSA, ECDSA (P-256, P-384, P-521) and Ed25519 are";
            problems.push(Problem::new(Part::Key, message, help));
            None
        }
    }
}

/// All certificates of a PEM file.
fn certificates(
    pem: &[u8],
    part: Part,
    problems: &mut Vec<Problem>,
) -> Vec<CertificateDer<'static>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(chain) if chain.is_empty() => {
            let (message, help) = if has_pem(pem) {
                ("the file holds no certificate", "it begins with `-----BEGIN CERTIFICATE-----`")
            } else {
                ("the file is not PEM", "convert it with `openssl x509 -inform der`")
            };
            problems.push(Problem::new(part, message, help));
            chain
        }
        Ok(chain) => chain,
        Err(error) => {
            let help = "export it again from where it was made";
            problems.push(Problem::new(part, format!("the file is broken: {error}"), help));
            Vec::new()
        }
    }
}

fn private_key(pem: &[u8], problems: &mut Vec<Problem>) -> Option<PrivateKeyDer<'static>> {
    let mut say = |message: &str, help: &str| {
        problems.push(Problem::new(Part::Key, message, help));
        None
    };
    if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        let help = "write it without a password, readable by Stead alone: \
                    `openssl pkey -in key.pem -out plain.pem`";
        return say("the key is encrypted", help);
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Some(key),
        Err(_) if has_pem(pem) => {
            say("the file holds no private key", "it begins with `-----BEGIN PRIVATE KEY-----`")
        }
        Err(_) => say("the file is not PEM", "convert it with `openssl pkey -inform der`"),
    }
}

/// Certificates that sign those of clients.
pub(crate) fn roots(pem: &[u8], problems: &mut Vec<Problem>) -> Option<RootCertStore> {
    let certificates = certificates(pem, Part::Clients, problems);
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        if roots.add(certificate.clone()).is_err() {
            let message = "a certificate in the file cannot be read";
            let help = "export it again from where it was made";
            problems.push(Problem::new(Part::Clients, message, help));
            return None;
        }
    }
    (!certificates.is_empty()).then_some(roots)
}

fn has_pem(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN ")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
