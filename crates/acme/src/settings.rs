//! What an authority is asked for, and how it is known.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// How certificates are ordered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where certificates and accounts are kept: `STATE/acme`.
    pub folder: PathBuf,
    /// The URL of the authority's directory, `https`.
    pub directory: String,
    /// Where the authority may write to its account's owner.
    pub email: Option<String>,
    /// Of the certificates' keys.
    pub key_type: KeyType,
    /// Trusted beside the system's, for the directory itself.
    pub roots: Roots,
    /// The account at the authority's owner, where it asks for one (RFC 8555 §7.3.4).
    pub binding: Option<Binding>,
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
}

impl KeyType {
    pub(crate) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}

/// An account outside ACME that an authority binds ours to.
#[derive(Clone)]
pub struct Binding {
    /// The name of the key.
    pub key_id: String,
    /// The key itself, decoded. SECURITY: never shown.
    pub key: Vec<u8>,
}

impl Binding {
    /// A binding whose key is base64url, padded or not; `None` where it is something else.
    pub fn parse(key_id: &str, key: &str) -> Option<Self> {
        let plain = |character: char| match character {
            '+' => '-',
            '/' => '_',
            other => other,
        };
        // Some authorities give the other alphabet.
        let key: String = key.trim().trim_end_matches('=').chars().map(plain).collect();
        let key = URL_SAFE_NO_PAD.decode(key).ok().filter(|key| !key.is_empty())?;
        Some(Self { key_id: key_id.to_owned(), key })
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Certificates of authorities that are trusted beside the system's.
#[derive(Clone, Debug, Default)]
pub struct Roots(pub(crate) Vec<CertificateDer<'static>>);

/// Why a file holds no roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootsError(String);

impl Roots {
    /// Reads all certificates of a PEM text.
    ///
    /// # Errors
    /// There is none, or one that cannot be trusted.
    pub fn parse(pem: &[u8]) -> Result<Self, RootsError> {
        let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let roots = read.map_err(|error| RootsError(format!("no PEM: {error}")))?;
        if roots.is_empty() {
            return Err(RootsError("there is no certificate in it".to_owned()));
        }
        let mut store = rustls::RootCertStore::empty();
        for root in &roots {
            let added = store.add(root.clone());
            added
                .map_err(|error| RootsError(format!("no certificate of an authority: {error}")))?;
        }
        Ok(Self(roots))
    }
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RootsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::issued;

    #[test]
    fn roots_are_certificates_and_at_least_one() {
        assert_eq!(Roots::parse(issued("ca.example", 0, 9).as_bytes()).expect("one").0.len(), 1);
        let error = Roots::parse(b"nothing").expect_err("none").to_string();
        assert_eq!(error, "there is no certificate in it");
    }

    #[test]
    fn every_key_type_makes_keys() {
        for key_type in [KeyType::P256, KeyType::P384, KeyType::Rsa2048] {
            assert!(key_type.generate().is_ok(), "{key_type:?}");
        }
    }

    #[test]
    fn a_key_of_a_binding_is_base64_of_either_alphabet() {
        let key = |text: &str| Binding::parse("kid", text).map(|binding| binding.key);
        assert_eq!(key("_-8"), Some(vec![0xff, 0xef]));
        assert_eq!(key(" /+8=\n"), Some(vec![0xff, 0xef]));
        assert_eq!((key(""), key("!"), key("a b")), (None, None, None));
    }

    #[test]
    fn security_a_binding_does_not_show_its_key() {
        let binding = Binding { key_id: "kid".to_owned(), key: b"hunter2".to_vec() };
        assert_eq!(format!("{binding:?}"), "Binding { key_id: \"kid\", .. }");
    }
}
