//! Heads of requests that came in the frames of HTTP/2, under the rules of those that came as text.
//!
//! Everything further in sees one kind of head: the authority becomes Host, cookie crumbs become
//! one field, and what HTTP/1 would read in another way than HTTP/2 is refused (RFC 9113 §8.2 and
//! §8.3; SECURITY.md 20 to 23). Pseudo-fields have been told from others and stand once.

use http::{HeaderMap, Method};
use stead_base::{HeadLimits, Reason};

use super::RequestHead;
use crate::fields::Span;
use crate::framing::{Framing, Version};
use crate::name::{self, Known, Name};
use crate::scan;
use crate::target::{Authority, Form, Target};

/// A request as HTTP/2 has it.
#[derive(Clone, Copy, Debug)]
pub struct Http2Request<'a> {
    /// `:method`
    pub method: &'a Method,
    /// `:authority`
    pub authority: Option<&'a [u8]>,
    /// `:scheme`, as far as its length matters.
    pub scheme: Option<&'a [u8]>,
    /// `:path`
    pub path: Option<&'a [u8]>,
    /// The fields.
    pub fields: &'a HeaderMap,
    /// Whether DATA may follow.
    pub has_body: bool,
}

impl RequestHead {
    /// Makes this, which was cleared, the head of a request of HTTP/2. After an error it holds what
    /// was read so far, for the log.
    ///
    /// # Errors
    /// `Http2Malformed` where the stream is to be reset; else what the same request would be
    /// refused with as text.
    pub fn fill_http2(
        &mut self,
        request: &Http2Request<'_>,
        limits: &HeadLimits,
    ) -> Result<(), Reason> {
        self.method = request.method.clone();
        self.version = Version::Http2;
        self.target_of(request, limits)?;
        let mut room = Room::new(limits);
        for part in [request.authority, request.scheme, request.path] {
            room.take(PSEUDO_NAME_BYTES, part.unwrap_or_default().len())?;
        }
        let mut crumbs = 0;
        for (name, value) in request.fields {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            room.take_field(name.len(), value.len())?;
            if matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
                return Err(Reason::Http2Malformed);
            }
            match Name::from_bytes(name) {
                Name::Known(Known::Host) => self.compare_host(value)?,
                Name::Known(Known::Cookie) => crumbs += 1,
                name => {
                    self.judge(name, value)?;
                    // The type of the value says that it is one.
                    self.fields.append_checked(name, value);
                }
            }
        }
        if crumbs > 0 {
            self.join_cookies(request.fields, crumbs);
        }
        if self.host.is_none() {
            return Err(Reason::MissingHost);
        }
        self.frame_http2(request.has_body)
    }

    /// `:path`, or `:authority` for CONNECT, then the authority as Host (RFC 9113 §8.3.1, §8.5).
    fn target_of(&mut self, request: &Http2Request<'_>, limits: &HeadLimits) -> Result<(), Reason> {
        if request.method.as_str().len() > crate::request::METHOD_BYTES_MAX {
            return Err(Reason::BadMethod);
        }
        let is_connect = *request.method == Method::CONNECT;
        let target = if is_connect { request.authority } else { request.path };
        let target = target.ok_or(Reason::Http2Malformed)?;
        if target.len() > limits.uri_bytes_max as usize {
            return Err(Reason::UriTooLong);
        }
        self.line.extend_from_slice(target);
        self.target_len = target.len() as u32;
        self.target = Target::parse(request.method, target)?;
        if self.target.form == Form::Absolute {
            return Err(Reason::Http2Malformed);
        }
        if let Some(authority) = request.authority {
            self.take_host(authority)?;
        }
        Ok(())
    }

    fn take_host(&mut self, value: &[u8]) -> Result<(), Reason> {
        let authority = Authority::parse(value)?;
        self.host = Some((Span::new(self.line.len(), value.len()), authority));
        self.line.extend_from_slice(value);
        self.fields.append_checked(name::HOST, value);
        Ok(())
    }

    /// A Host beside the authority must be the same; alone it takes its place.
    fn compare_host(&mut self, value: &[u8]) -> Result<(), Reason> {
        let is_second = std::mem::replace(&mut self.host_field_seen, true);
        match self.host {
            _ if is_second => Err(Reason::Http2Malformed),
            Some((span, _)) if span.of(&self.line).eq_ignore_ascii_case(value) => Ok(()),
            Some(_) => Err(Reason::Http2Malformed),
            None => self.take_host(value),
        }
    }

    /// Fields of one connection have no place here (RFC 9113 §8.2.2).
    fn judge(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), Reason> {
        use Known as K;
        let Name::Known(known) = name else { return Ok(()) };
        match known {
            K::Connection
            | K::KeepAlive
            | K::ProxyConnection
            | K::TransferEncoding
            | K::Upgrade => Err(Reason::Http2Malformed),
            K::Te if !value.eq_ignore_ascii_case(b"trailers") => Err(Reason::Http2Malformed),
            _ => {
                self.marks.note(known, value);
                Ok(())
            }
        }
    }

    /// Clients send each cookie alone so that it compresses well (RFC 9113 §8.2.3).
    fn join_cookies(&mut self, fields: &HeaderMap, crumbs: usize) {
        let mut all = fields.get_all(http::header::COOKIE).iter();
        if let (1, Some(only)) = (crumbs, all.next()) {
            return self.fields.append(name::COOKIE, only.as_bytes());
        }
        let mut joined = Vec::new();
        for crumb in fields.get_all(http::header::COOKIE) {
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(crumb.as_bytes());
        }
        self.fields.append(name::COOKIE, &joined);
    }

    fn frame_http2(&mut self, has_body: bool) -> Result<(), Reason> {
        let stated = self.marks.request_framing(Version::Http2);
        self.framing = match stated.map_err(|_| Reason::Http2Malformed)? {
            Framing::Length(1..) if !has_body => return Err(Reason::Http2Malformed),
            Framing::None if has_body => Framing::Chunked,
            framing => framing,
        };
        self.marks.expects_continue().map(|_| ())
    }
}

/// What is left of the limits of a list of fields.
struct Room {
    bytes: usize,
    fields: u16,
}

/// What a field costs beside its bytes (RFC 9113 §6.5.2).
const FIELD_BYTES: usize = 32;
/// About what the name of a pseudo-field is long.
const PSEUDO_NAME_BYTES: usize = 10;

impl Room {
    fn new(limits: &HeadLimits) -> Self {
        Self { bytes: limits.head_bytes_max as usize, fields: limits.field_count_max }
    }

    fn take(&mut self, name: usize, value: usize) -> Result<(), Reason> {
        let left = self.bytes.checked_sub(name + value + FIELD_BYTES);
        self.bytes = left.ok_or(Reason::HeaderTooLarge)?;
        Ok(())
    }

    fn take_field(&mut self, name: usize, value: usize) -> Result<(), Reason> {
        self.fields = self.fields.checked_sub(1).ok_or(Reason::TooManyHeaders)?;
        self.take(name, value)
    }
}

/// Adds the trailers of a request of HTTP/2 to `fields`, under the rules of those of HTTP/1: what
/// says how to frame, route or authenticate is dropped.
///
/// # Errors
/// `BadTrailer` where they exceed the limits of a head or hold what is no field.
pub fn http2_trailers(
    map: &HeaderMap,
    limits: &HeadLimits,
    fields: &mut crate::Fields,
) -> Result<(), Reason> {
    let mut room = Room::new(limits);
    for (name, value) in map {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        room.take_field(name.len(), value.len()).map_err(|_| Reason::BadTrailer)?;
        match Name::from_bytes(name) {
            Name::Known(known) if !known.is_allowed_in_trailers() => {}
            name if scan::is_value(value) => fields.append(name, scan::trim(value)),
            _ => return Err(Reason::BadTrailer),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { head_bytes_max: 400, field_count_max: 4, uri_bytes_max: 40 };

    fn fill(
        method: &str,
        authority: Option<&str>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<RequestHead, Reason> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let mut head = RequestHead::default();
        let request = Http2Request {
            method: &method.parse().unwrap(),
            authority: authority.map(str::as_bytes),
            scheme: None,
            path: Some(path.as_bytes()),
            fields: &map,
            has_body: method == "POST",
        };
        head.fill_http2(&request, &LIMITS).map(|()| head)
    }

    fn refused(fields: &[(&str, &str)]) -> Option<Reason> {
        fill("GET", Some("a"), "/", fields).err()
    }

    #[test]
    fn security_20_authority_is_host_and_paths_begin_with_a_slash() {
        let head = fill("GET", Some("A.example:8"), "/x?y", &[("host", "a.EXAMPLE:8")]).unwrap();
        assert_eq!((head.host(), head.port()), (Some(&b"A.example:8"[..]), Some(8)));
        assert_eq!((head.path(), head.query()), (&b"/x"[..], Some(&b"y"[..])));
        assert_eq!(head.fields().values(name::HOST).count(), 1);
        let head = fill("GET", None, "/", &[("host", "b")]).unwrap();
        assert_eq!((head.host_name(), head.version()), (Some(&b"b"[..]), Version::Http2));
        let get = |authority, path, fields: &[_]| fill("GET", authority, path, fields).err();
        let malformed = Some(Reason::Http2Malformed);
        assert_eq!(get(Some("a"), "/", &[("host", "b")]), malformed);
        assert_eq!(get(Some("a"), "/", &[("host", "a"), ("host", "a")]), malformed);
        assert_eq!(get(Some("a"), "http://a/", &[]), malformed);
        assert_eq!(get(Some("a"), "x", &[]), Some(Reason::BadTarget));
        assert_eq!(get(Some("a"), "*", &[]), Some(Reason::BadTarget));
        assert_eq!(get(Some("a,b"), "/", &[]), Some(Reason::BadHost));
        assert_eq!(get(None, "/", &[]), Some(Reason::MissingHost));
        assert_eq!(fill("OPTIONS", Some("a"), "*", &[]).unwrap().form(), Form::Asterisk);
    }

    #[test]
    fn security_21_fields_of_one_connection_are_refused() {
        for name in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
            assert_eq!(refused(&[(name, "x")]), Some(Reason::Http2Malformed), "{name}");
        }
        assert_eq!(refused(&[("transfer-encoding", "chunked")]), Some(Reason::Http2Malformed));
        assert_eq!(refused(&[("te", "gzip")]), Some(Reason::Http2Malformed));
        assert_eq!(refused(&[("te", "trailers")]), None);
        for value in [" x", "x ", "\tx", "x\t", " "] {
            assert_eq!(refused(&[("x-a", value)]), Some(Reason::Http2Malformed), "{value:?}");
        }
    }

    #[test]
    fn security_22_lengths_are_plain_and_agree_with_the_end() {
        let post = |length| fill("POST", Some("a"), "/", &[("content-length", length)]);
        assert_eq!(post("7").unwrap().framing(), Framing::Length(7));
        assert_eq!(post("+7").unwrap_err(), Reason::Http2Malformed);
        assert_eq!(fill("POST", Some("a"), "/", &[]).unwrap().framing(), Framing::Chunked);
        assert_eq!(refused(&[("content-length", "7")]), Some(Reason::Http2Malformed));
        assert_eq!(refused(&[("content-length", "0")]), None);
    }

    #[test]
    fn security_23_lists_of_fields_are_bounded_and_each_crumb_counts() {
        let crumb = ("cookie", "a=1");
        let head = fill("GET", Some("a"), "/", &[crumb, ("x-b", "c"), crumb, crumb]).unwrap();
        assert_eq!(head.fields().get(name::COOKIE), Some(&b"a=1; a=1; a=1"[..]));
        assert_eq!(refused(&[crumb; 5]), Some(Reason::TooManyHeaders));
        let long = "x".repeat(228);
        // Pseudo-fields cost 128 bytes here, and the name and the 32 another 35.
        assert_eq!(refused(&[("x-b", &long)]), None);
        assert_eq!(refused(&[("x-b", &format!("{long}{}", "x".repeat(10)))]), {
            Some(Reason::HeaderTooLarge)
        });
        let uri = |length| fill("GET", Some("a"), &format!("/{}", "x".repeat(length)), &[]).err();
        assert_eq!((uri(39), uri(40)), (None, Some(Reason::UriTooLong)));
    }

    #[test]
    fn security_08_trailers_keep_no_field_that_frames() {
        let mut map = HeaderMap::new();
        for name in ["x-sum", "content-length", "host", "x-more"] {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                "1".parse().unwrap(),
            );
        }
        let mut fields = crate::Fields::new();
        http2_trailers(&map, &LIMITS, &mut fields).unwrap();
        assert_eq!(fields.len(), 2);
        map.append("x-last", "1".parse().unwrap());
        assert_eq!(http2_trailers(&map, &LIMITS, &mut fields), Err(Reason::BadTrailer));
    }
}
