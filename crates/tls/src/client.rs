//! What is told of a client's certificate once rustls has verified it.
//!
//! SECURITY: its authority vouches for values, not for how they read. So different names are
//! different texts (RFC 4514 §2.4), and a name that could pass for two stands in no list.

use std::borrow::Cow;
use std::fmt::Write;

use aws_lc_rs::digest;
use stead_base::is_unseen;
use stead_core::ClientCertificate;
use x509_parser::asn1_rs::{Any, Tag, ToDer};
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
            GeneralName::DNSName(name) if dns_names.len() < NAMES_MAX && is_dns_name(name) => {
                dns_names.push((*name).into());
            }
            GeneralName::RFC822Name(name) if emails.len() < NAMES_MAX && is_email(name) => {
                emails.push((*name).into());
            }
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

fn is_dns_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

/// The plain form of RFC 5322 §3.4.1: atoms with dots, no quotes.
fn is_email(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.@".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

/// A name as RFC 4514 §2 writes it, but in the order of the certificate, and with blanks between
/// its parts.
fn name(name: &X509Name<'_>) -> Box<str> {
    let mut text = String::new();
    for (place, part) in name.iter_rdn().enumerate() {
        for (at, attribute) in part.iter().enumerate() {
            text.push_str(match (place, at) {
                (0, 0) => "",
                (_, 0) => ", ",
                _ => " + ",
            });
            push_attribute(&mut text, attribute);
        }
    }
    text.into()
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    match oid2abbrev(attribute.attr_type(), oid_registry()) {
        Ok(word) => text.push_str(word),
        Err(_) => text.push_str(&attribute.attr_type().to_id_string()),
    }
    text.push('=');
    if let Some(value) = string(attribute.attr_value()) {
        return push_escaped(text, &value);
    }
    text.push('#');
    text.push_str(&hex(&attribute.attr_value().to_der_vec().unwrap_or_default()));
}

/// The value of a string; `None` where it is something else, or not of the letters it says.
fn string<'a>(value: &Any<'a>) -> Option<Cow<'a, str>> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::T61String => std::str::from_utf8(value.data).ok().map(Cow::Borrowed),
        Tag::BmpString => {
            let (pairs, rest) = value.data.as_chunks::<2>();
            let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
            let read: Result<String, _> = char::decode_utf16(units).collect();
            read.ok().filter(|_| rest.is_empty()).map(Cow::Owned)
        }
        _ => None,
    }
}

/// RFC 4514 §2.4. What would make lines of a log or fields of a header, or turn round how a line is
/// read, is written in hexadecimal, byte for byte.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', character]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            character if is_unseen(character) || character == char::REPLACEMENT_CHARACTER => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            character => text.push(character),
        }
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    fn facts_of(subject: &[(DnType, DnValue)], names: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        facts(params.self_signed(&key).expect("signs").der()).expect("facts")
    }

    fn check(value: &str, expected: &str) {
        let subject = [(DnType::CommonName, value.into())];
        assert_eq!(&*facts_of(&subject, Vec::new()).subject, format!("CN={expected}"));
    }

    #[test]
    fn security_one_value_never_reads_like_two() {
        let honest =
            [(DnType::CommonName, "bob".into()), (DnType::OrganizationName, "Admins".into())];
        assert_eq!(&*facts_of(&honest, Vec::new()).subject, "CN=bob, O=Admins");
        check("bob, O=Admins", r"bob\, O=Admins");
        check("bob + O=Admins", r"bob \+ O=Admins");
        check(r"bob\", r"bob\\");
        check("#62 \"<x>\"; ", r#"\#62 \"\<x\>\"\;\ "#);
        check(" ", r"\ ");
        check("", "");
    }

    #[test]
    fn security_what_is_not_seen_is_written_out() {
        check("a\r\nb\0", r"a\0d\0ab\00");
        check("a\u{202e}b\u{fffd}", r"a\e2\80\aeb\ef\bf\bd");
        check("Jürgen 山", "Jürgen 山");
        let wide = DnValue::BmpString(BmpString::try_from("a,ü").expect("letters"));
        let named = facts_of(&[(DnType::CustomDnType(vec![1, 2, 3, 4]), wide)], Vec::new());
        assert_eq!(&*named.subject, r"1.2.3.4=a\,ü");
    }

    #[test]
    fn security_a_name_that_could_be_two_is_in_no_list() {
        let names = ["a.test,admin.test", "*.b.test", "a\r\nb", "", "a b"];
        let mails = ["a@b.test,c@d.test", "first.last+x@b.test", "\"a,b\"@c.test"];
        let text = |name: &str| name.to_owned().try_into().expect("ASCII");
        let names = names.iter().map(|name| SanType::DnsName(text(name)));
        let mails = mails.iter().map(|name| SanType::Rfc822Name(text(name)));
        let facts = facts_of(&[], names.chain(mails).collect());
        assert_eq!(&*facts.dns_names, ["*.b.test".into()]);
        assert_eq!(&*facts.emails, ["first.last+x@b.test".into()]);
    }
}
