//! A certificate chain with its key, and the certificates by which clients are known: read from
//! PEM, and everything about them that would make a server useless or weak said at once.
//!
//! Sources: RFC 7468 (PEM), RFC 5280 §4.1.2.5 (validity), §4.2.1.6 (names), RFC 8446 §4.4.2 (order
//! of a chain).

use std::net::IpAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

use crate::names::Names;
use crate::problem::{Part, Problem};

/// A chain with its key, fit to serve.
pub(crate) struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) names: Names,
    /// Seconds since 1970.
    pub(crate) not_after: u64,
    /// Whether the one that signed it is missing: its authority says where that could be fetched,
    /// which few clients do.
    pub(crate) is_alone: bool,
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
        let is_alone = chain.len() == 1 && has_issuer_elsewhere(&leaf);
        let key = key.filter(|_| facts.fits_provider);
        let key = key.and_then(|key| pair(chain, key, provider, &mut problems));
        let Facts { names, not_after, .. } = facts;
        match key {
            Some(key) if problems.is_empty() => {
                Ok(Self { key: Arc::new(key), names, not_after, is_alone })
            }
            _ => Err(problems),
        }
    }
}

/// What Stead wants to know of a leaf.
struct Facts {
    names: Names,
    not_after: u64,
    /// Whether its key has a size that can be used; another one was reported.
    fits_provider: bool,
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
            let ended = moment(leaf.validity().not_after);
            say(format!("the certificate expired at {ended}"), "renew it");
        } else if wall < not_before {
            let begins = moment(leaf.validity().not_before);
            let help = "wait until then, or set this machine's clock";
            say(format!("the certificate is not valid before {begins}"), help);
        }
        let mut fits_provider = true;
        if let Ok(PublicKey::RSA(key)) = leaf.public_key().parsed() {
            let bits = bits_of(key.modulus);
            fits_provider = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits);
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
        Self { names, not_after, fits_provider }
    }
}

/// A time as everywhere else: `2026-11-20T00:05:01Z`.
fn moment(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whether a certificate says where the one that signed it can be fetched, as those of public
/// authorities do (RFC 5280 §4.2.2.1).
fn has_issuer_elsewhere(leaf: &X509Certificate<'_>) -> bool {
    leaf.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access
            .accessdescs
            .iter()
            .any(|one| one.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS),
        _ => false,
    })
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
                let der = "convert it with `openssl x509 -inform der -in FILE -out FILE.pem`";
                not_pem(pem, der)
            };
            problems.push(Problem::new(part, message, help));
            chain
        }
        Ok(chain) => chain,
        Err(error) => {
            let help = "export it again from where it was made";
            let message = match error {
                pem::Error::MissingSectionEnd { .. } => {
                    "the file is broken: it ends within a certificate".to_owned()
                }
                error => format!("the file is broken: {error}"),
            };
            problems.push(Problem::new(part, message, help));
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
        Err(_) => {
            let der = "convert it with `openssl pkey -inform der -in FILE -out FILE.pem`";
            let (message, help) = not_pem(pem, der);
            say(message, help)
        }
    }
}

/// What a file is that holds no PEM; `der` is the advice for DER.
fn not_pem(file: &[u8], der: &'static str) -> (&'static str, &'static str) {
    // A sequence in DER, whose length has a byte of its own or two behind it; PKCS#12 begins with
    // its version, 3 (RFC 7292 §4).
    let inner = match file {
        [0x30, 0x82, _, _, inner @ ..] | [0x30, 0x81, _, inner @ ..] => Some(inner),
        [0x30, length, inner @ ..] if *length < 0x80 => Some(inner),
        _ => None,
    };
    match inner {
        Some([0x02, 0x01, 0x03, ..]) => (
            "the file is PKCS#12, not PEM",
            "convert it with `openssl pkcs12 -nodes -in FILE -out FILE.pem`, which holds both",
        ),
        Some(_) => ("the file is DER, not PEM", der),
        None if file.iter().all(u8::is_ascii_whitespace) => {
            ("the file is empty", "export it again from where it was made")
        }
        None => ("the file is not PEM", "name one with a line `-----BEGIN …-----`"),
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
        if signs_nothing(certificate) {
            let message = "a certificate in the file signs no others (its basicConstraints say so)";
            let help = "name the certificate of who signs those of clients";
            problems.push(Problem::new(Part::Clients, message, help));
        }
    }
    (!certificates.is_empty()).then_some(roots)
}

/// Whether nothing can ever be signed by it: it is no authority's, nor its own.
fn signs_nothing(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return false };
    let constraints = certificate.basic_constraints().ok().flatten();
    let is_no_authority = match constraints {
        Some(constraints) => !constraints.value.ca,
        // Old authorities have certificates of version 1, which say nothing of it.
        None => certificate.version() == X509Version::V3,
    };
    is_no_authority && certificate.subject() != certificate.issuer()
}

fn has_pem(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN ")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, KeyPair};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn a_certificate_of_a_public_authority_should_not_be_alone() {
        let url = b"http://ca.example/";
        let location = [b"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x12", &url[..]].concat();
        let (inner, outer) = ([0x30, 30 + 2], [0x30, 30]);
        let access = [&inner[..], &outer, &location].concat();
        let issued = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
        for (extensions, is_alone) in [(vec![issued], true), (Vec::new(), false)] {
            let mut params = CertificateParams::new(vec!["example.com".into()]).expect("a name");
            params.custom_extensions = extensions;
            let key = KeyPair::generate().expect("a key");
            let chain = params.self_signed(&key).expect("a certificate").pem();
            let provider = aws_lc_rs::default_provider();
            let (key, wall) = (key.serialize_pem(), 1_800_000_000);
            let read = Certificate::parse(chain.as_bytes(), key.as_bytes(), &provider, wall);
            assert_eq!(read.map(|read| read.is_alone).ok(), Some(is_alone));
        }
    }

    #[test]
    fn what_is_no_pem_is_named() {
        let check = |file: &[u8], expect: &str| {
            let mut problems = Vec::new();
            assert!(certificates(file, Part::Certificate, &mut problems).is_empty());
            assert!(private_key(file, &mut problems).is_none());
            let messages: Vec<_> = problems.iter().map(|one| one.message.as_str()).collect();
            assert_eq!(messages, [expect, expect]);
        };
        check(b" \n", "the file is empty");
        check(b"hello\n", "the file is not PEM");
        check(b"\x30\x82\x01\x00\x30\x82\x00\xf0", "the file is DER, not PEM");
        check(b"\x30\x82\x01\x00\x02\x01\x03\x30", "the file is PKCS#12, not PEM");
        let mut problems = Vec::new();
        let half = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(certificates(half, Part::Certificate, &mut problems).is_empty());
        assert_eq!(problems[0].message, "the file is broken: it ends within a certificate");
    }
}
