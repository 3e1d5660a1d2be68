//! The request target in its four forms, and the authority in it or in Host.
//!
//! Read once per request, when its request line is complete. Only visible ASCII without `#` passes;
//! a host is a name or a bracketed IPv6 address with a port of 1 to 65535 or none. Escapes and
//! sub-delims in a host, userinfo, and schemes other than http and https are refused on purpose: no
//! honest client sends them to a server. RFC 9112 §3.2, RFC 3986 §3.2, RFC 9110 §4.2.

use std::net::Ipv6Addr;

use http::Method;
use stead_base::Reason;

use crate::fields::Span;
use crate::scan;

/// The form of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only.
    Asterisk,
}

/// Where the parts of a target lie in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    pub form: Form,
    pub scheme: Span,
    pub authority: Option<Span>,
    pub path: Span,
    pub query: Option<Span>,
}

/// A checked `host[:port]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Bytes of the host, with the brackets of an IPv6 address.
    pub name_len: u32,
    pub port: Option<u16>,
}

impl Target {
    /// Reads the target of a request by `method`.
    ///
    /// # Errors
    /// `BadTarget`; `BadHost` if the authority in it is malformed.
    #[inline]
    pub(crate) fn parse(method: &Method, target: &[u8]) -> Result<Self, Reason> {
        if !scan::is_target(target) {
            return Err(Reason::BadTarget);
        }
        if *method == Method::CONNECT {
            return Self::authority_form(target);
        }
        match target {
            [b'/', ..] => Ok(Self { form: Form::Origin, ..Self::path_at(target, 0) }),
            b"*" if *method == Method::OPTIONS => {
                Ok(Self { form: Form::Asterisk, path: Span::new(0, 1), ..Self::default() })
            }
            _ => Self::absolute_form(target),
        }
    }

    fn authority_form(target: &[u8]) -> Result<Self, Reason> {
        // A CONNECT names its port (RFC 9110 §9.3.6).
        Authority::parse(target)?.port.ok_or(Reason::BadTarget)?;
        let authority = Some(Span::new(0, target.len()));
        Ok(Self { form: Form::Authority, authority, ..Self::default() })
    }

    fn absolute_form(target: &[u8]) -> Result<Self, Reason> {
        let scheme_len = [&b"http"[..], b"https"]
            .iter()
            .find(|scheme| {
                target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                    && target.get(scheme.len()..).is_some_and(|rest| rest.starts_with(b"://"))
            })
            .map(|scheme| scheme.len())
            .ok_or(Reason::BadTarget)?;
        let start = scheme_len + 3;
        let rest = target.get(start..).unwrap_or_default();
        let len = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        Authority::parse(rest.get(..len).unwrap_or_default())?;
        Ok(Self {
            form: Form::Absolute,
            scheme: Span::new(0, scheme_len),
            authority: Some(Span::new(start, len)),
            ..Self::path_at(target, start + len)
        })
    }

    /// Splits path and query, which begin at `start`.
    #[inline]
    fn path_at(target: &[u8], start: usize) -> Self {
        let rest = target.get(start..).unwrap_or_default();
        let mark = scan::find(b'?', rest);
        Self {
            path: Span::new(start, mark.unwrap_or(rest.len())),
            query: mark.map(|at| Span::new(start + at + 1, rest.len() - at - 1)),
            ..Self::default()
        }
    }
}

impl Authority {
    /// Reads `host[:port]`.
    ///
    /// # Errors
    /// `BadHost`.
    #[inline]
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Reason> {
        let name_len = match text {
            [b'[', rest @ ..] => {
                let end = rest.iter().position(|b| *b == b']').ok_or(Reason::BadHost)?;
                let address = rest.get(..end).and_then(|address| str::from_utf8(address).ok());
                address.and_then(|a| a.parse::<Ipv6Addr>().ok()).ok_or(Reason::BadHost)?;
                end + 2
            }
            _ => text.iter().position(|byte| !HOST[usize::from(*byte)]).unwrap_or(text.len()),
        };
        if name_len == 0 {
            return Err(Reason::BadHost);
        }
        let port = match text.get(name_len..) {
            None | Some([]) => None,
            Some([b':', digits @ ..]) => Some(parse_port(digits)?),
            Some(_) => return Err(Reason::BadHost),
        };
        Ok(Self { name_len: name_len as u32, port })
    }
}

/// A port of 1 to 65535 in one to five digits.
fn parse_port(digits: &[u8]) -> Result<u16, Reason> {
    if !(1..=5).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::BadHost);
    }
    let port = digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0'));
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or(Reason::BadHost)
}

/// Bytes of a registered name: the unreserved ones (RFC 3986 §2.3). Sub-delims and escapes would be
/// allowed too, but no name system holds them, and lists, patterns and templates give them meaning.
const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 128 {
        let ascii = byte as u8;
        table[byte] = ascii.is_ascii_alphanumeric() || matches!(ascii, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, text: &str, expect: Result<(Form, &str, Option<&str>), Reason>) {
        let target = Target::parse(method, text.as_bytes());
        let parts = target.map(|target| {
            let part = |span: Span| str::from_utf8(span.of(text.as_bytes())).unwrap();
            (target.form, part(target.path), target.query.map(part))
        });
        assert_eq!(parts, expect, "{method} {text}");
    }

    #[test]
    fn security_13_a_target_has_one_of_four_forms() {
        let get = &Method::GET;
        check(get, "/", Ok((Form::Origin, "/", None)));
        check(get, "/a/b?c=d?e", Ok((Form::Origin, "/a/b", Some("c=d?e"))));
        check(get, "//x?", Ok((Form::Origin, "//x", Some(""))));
        check(get, "http://a.example", Ok((Form::Absolute, "", None)));
        check(get, "HTTPS://a:8/x?y", Ok((Form::Absolute, "/x", Some("y"))));
        check(get, "http://a?y", Ok((Form::Absolute, "", Some("y"))));
        check(&Method::OPTIONS, "*", Ok((Form::Asterisk, "*", None)));
        check(&Method::CONNECT, "a:443", Ok((Form::Authority, "", None)));
        for bad in ["*", "", "a", "a:443", "ftp://a/", "http:/a", "http:a", "?x", "/a#b", "/a\tb"] {
            check(get, bad, Err(Reason::BadTarget));
        }
        for bad in ["/\u{e9}", "/\u{7f}", "/a b", "/a\u{1}"] {
            check(get, bad, Err(Reason::BadTarget));
        }
        for bad in ["http://", "http:///x", "http://u@a/", "http://a:0/", "http://a,b/"] {
            check(get, bad, Err(Reason::BadHost));
        }
        check(&Method::CONNECT, "a", Err(Reason::BadTarget));
        for bad in ["/", "*", "http://a:1/", "a:443/", "u@a:443", "a:0", ":443"] {
            check(&Method::CONNECT, bad, Err(Reason::BadHost));
        }
        assert_eq!(Reason::BadTarget.status(), Some(400));
        assert_eq!(Reason::BadHost.status(), Some(400));
    }

    #[test]
    fn security_14_a_host_is_a_name_and_a_port() {
        for (text, name_len, port) in [
            ("a", 1, None),
            ("a.example:8080", 9, Some(8080)),
            ("127.0.0.1:1", 9, Some(1)),
            ("[::1]", 5, None),
            ("[2001:db8::1]:65535", 13, Some(65535)),
            ("a_b.example.", 12, None),
            ("a:00080", 1, Some(80)),
        ] {
            let expect = Ok(Authority { name_len, port });
            assert_eq!(Authority::parse(text.as_bytes()), expect, "{text}");
        }
        for bad in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:123456",
            "a:8x",
            "a:-1",
            "a:+1",
            "u@a",
            "u:p@a",
            "a/b",
            "a,b",
            "a b",
            "*.a",
            "a;b",
            "a?b",
            "a#b",
            "a%41",
            "a\\b",
            "[::1",
            "::1",
            "[::g]",
            "[::1]a",
            "[::1%25eth0]",
            "[v1.a]",
            "[]",
            "a:80:80",
            "\u{e9}",
            "a\"b",
            "<a>",
        ] {
            assert_eq!(Authority::parse(bad.as_bytes()), Err(Reason::BadHost), "{bad}");
        }
    }
}
