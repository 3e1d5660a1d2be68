//! The certificate that every server of one invocation shows: P-256, signed by itself, made anew.
//!
//! Clients of the bench trust it and nothing else, so that an answer over TLS proves who gave it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;

/// Certificate and key as files, for the servers, and the certificate for our clients.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM files.
    pub chain: PathBuf,
    pub key: PathBuf,
    pub der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes a certificate for the local host and writes it into `folder`.
    pub fn make(folder: &Path) -> Result<Certificate> {
        let made = rcgen::generate_simple_self_signed(NAMES.map(String::from))?;
        let certificate = Certificate {
            chain: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            der: made.cert.der().clone(),
        };
        fs::write(&certificate.chain, made.cert.pem()).context("write the certificate")?;
        fs::write(&certificate.key, made.signing_key.serialize_pem()).context("write the key")?;
        Ok(certificate)
    }
}

/// The name that clients ask for, in SNI and as host.
pub const NAME: &str = "localhost";
const NAMES: [&str; 2] = [NAME, "127.0.0.1"];
