//! What is told of a client's certificate once rustls has verified it.

use aws_lc_rs::digest;
use stead_core::ClientCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Name;

/// SECURITY: a certificate with more names than anybody needs fills no log.
const NAMES_MAX: usize = 32;

/// The facts of a certificate; `None` if it cannot be read.
pub(crate) fn facts(certificate: &[u8]) -> Option<ClientCertificate> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let (mut dns_names, mut emails) = (Vec::new(), Vec::new());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) if dns_names.len() < NAMES_MAX => {
                dns_names.push(plain(name));
            }
            GeneralName::RFC822Name(name) if emails.len() < NAMES_MAX => emails.push(plain(name)),
            _ => {}
        }
    }
    Some(ClientCertificate {
        subject: name(parsed.subject()),
        issuer: name(parsed.issuer()),
        serial: hex(parsed.raw_serial()),
        fingerprint: hex(digest::digest(&digest::SHA256, certificate).as_ref()),
        not_after: u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0),
        dns_names: dns_names.into(),
        emails: emails.into(),
    })
}

fn name(name: &X509Name<'_>) -> Box<str> {
    plain(&name.to_string())
}

/// SECURITY: whoever signed the certificate may have let line ends into it; they would make lines
/// of a log and fields of a header.
fn plain(text: &str) -> Box<str> {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
