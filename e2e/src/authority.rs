//! What signs the certificates of a test.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::folder::Folder;

/// A root of one test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A root that nobody else knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "root of a test");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signs"))
    }

    /// Writes the root into a folder.
    pub fn write(&self, folder: &Folder, name: &str) -> PathBuf {
        folder.write(name, self.0.pem())
    }

    /// Writes a certificate for some names as `NAME.pem` and its key as `NAME.key`. The first name
    /// is its common name, too.
    pub fn sign(&self, folder: &Folder, name: &str, hosts: &[&str]) {
        self.sign_for(folder, name, hosts, Duration::from_hours(90 * 24));
    }

    /// The same, valid from a day ago until `left` from now.
    pub fn sign_for(&self, folder: &Folder, name: &str, hosts: &[&str], left: Duration) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let common = hosts.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_hours(24)).into();
        params.not_after = (now + left).into();
        let key = KeyPair::generate().expect("a key");
        folder.write(&format!("{name}.key"), key.serialize_pem());
        let certificate = params.signed_by(&key, &self.0).expect("signs");
        folder.write(&format!("{name}.pem"), certificate.pem());
    }
}
