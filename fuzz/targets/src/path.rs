//! Targets and canonical paths: one form, reached from every spelling, and stable.

use std::fmt::Write as _;

use stead_http1::{Fields, Form, Method, RequestHead, name};
use stead_route::{canonicalize, decode, has_encoded_slash, one_leading_slash};

/// Any bytes as a request target, and as a raw path.
pub fn path(input: &[u8]) {
    for method in [Method::GET, Method::OPTIONS, Method::CONNECT] {
        check_target(method, input);
    }
    let mut canonical = String::new();
    if canonicalize(input, &mut canonical).is_ok() {
        check_canonical(&canonical);
        check_spelling(&canonical);
    }
}

/// The parts of a target are parts of it, in order.
fn check_target(method: Method, target: &[u8]) {
    let mut fields = Fields::new();
    fields.append(name::HOST, b"a");
    let Ok(head) = RequestHead::build(method, target, fields) else { return };
    let path = head.path();
    match head.form() {
        Form::Origin => {
            let mut whole = path.to_vec();
            if let Some(query) = head.query() {
                whole.push(b'?');
                whole.extend_from_slice(query);
            }
            assert_eq!(whole, target);
        }
        Form::Absolute => assert!(path.starts_with(b"/"), "{}", target.escape_ascii()),
        Form::Authority => assert_eq!(head.host(), Some(target)),
        Form::Asterisk => assert_eq!((target, path), (&b"*"[..], &b"*"[..])),
    }
    assert!(!path.contains(&b'?') && !path.contains(&b'#'), "{}", target.escape_ascii());
}

/// What the canonical form promises to router, handlers and log.
fn check_canonical(path: &str) {
    let mut again = String::new();
    canonicalize(path.as_bytes(), &mut again).expect("a canonical path is a path");
    assert_eq!(again, path, "canonical once more");
    assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()), "{path}");
    assert!(!path.contains(['\\', '?', '#']), "{path}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path}");
    assert!(!one_leading_slash(path).starts_with("//"), "{path}");
    let mut bytes = Vec::new();
    decode(path, &mut bytes);
    assert!(!bytes.contains(&0) && !bytes.contains(&b'\\'), "{path}");
    let slashes = |bytes: &[u8]| bytes.split(|&byte| byte == b'/').count();
    assert_eq!(slashes(&bytes) > slashes(path.as_bytes()), has_encoded_slash(path), "{path}");
}

/// Escaping what need not be escaped changes nothing.
fn check_spelling(canonical: &str) {
    let mut spelt = String::new();
    let mut escape = 0;
    for c in canonical.chars() {
        // The two digits of an escape are no characters of their own.
        let is_digit = escape > 0;
        escape = if c == '%' { 2_u32 } else { escape.saturating_sub(1) };
        if !is_digit && (c.is_ascii_alphanumeric() || "-._~".contains(c)) {
            let _ = write!(spelt, "%{:02x}", u32::from(c));
        } else {
            spelt.push(c.to_ascii_lowercase());
        }
    }
    let mut again = String::new();
    canonicalize(spelt.as_bytes(), &mut again).expect("another spelling of a path is one");
    assert_eq!(again, canonical, "spelt {spelt}");
}
