//! What the tests of this crate share.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

/// A key and a self-signed certificate of `host`, as they are stored.
pub(crate) fn issued(host: &str, from_unix_s: u64, until_unix_s: u64) -> String {
    let at = |seconds| (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
    params.not_before = at(from_unix_s);
    params.not_after = at(until_unix_s);
    let certificate = params.self_signed(&key).expect("signs");
    format!("{}{}", key.serialize_pem(), certificate.pem())
}
