//! What is told of a client's certificate once rustls has verified it.

use aws_lc_rs::digest;
use stead_core::ClientCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::parse_x509_certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

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

/// A name as `CN=Alice, O=Office\, Inc`, in the order of the certificate.
fn name(name: &X509Name<'_>) -> Box<str> {
    let mut text = String::new();
    for relative in name.iter_rdn() {
        for (at, attribute) in relative.iter().enumerate() {
            if !text.is_empty() {
                text.push_str(if at == 0 { ", " } else { " + " });
            }
            push_attribute(&mut text, attribute);
        }
    }
    plain(&text)
}

/// SECURITY: escaped, so that no value reads as if further attributes followed (RFC 4514 §2.4).
fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(short) => text.push_str(short),
        Err(_) => text.push_str(&attribute.attr_type().to_id_string()),
    }
    text.push('=');
    let Ok(value) = attribute.as_str() else {
        text.push('#');
        return text.push_str(&hex(attribute.as_slice()));
    };
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let is_outermost = at == 0 && matches!(c, ' ' | '#') || at == last && c == ' ';
        if is_outermost || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(c);
    }
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    #[test]
    fn no_value_of_a_name_reads_as_another_attribute() {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, "#1 <a> \"b\"; c+d\\e ");
        subject.push(DnType::OrganizationName, "Office, CN=admin");
        subject.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x\ny");
        params.distinguished_name = subject;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let facts = facts(certificate.der()).expect("facts");
        assert_eq!(
            &*facts.subject,
            "CN=\\#1 \\<a\\> \\\"b\\\"\\; c\\+d\\\\e\\ , O=Office\\, CN=admin, 1.2.3.4=x\u{fffd}y"
        );
    }
}
