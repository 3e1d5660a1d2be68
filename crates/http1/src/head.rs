//! The head of one request, as the decoder leaves it: reused from request to request.
//!
//! Valid from `Event::Head` until the next message begins. Method, target, host and framing are
//! fixed once parsed; changing the fields does not change them, so that what was framed by one
//! reading is never routed or forwarded by another.

mod http2;

use http::Method;
use stead_base::Reason;

use crate::fields::{Fields, Span};
use crate::framing::{Framing, Marks, Version};
use crate::name::{self, Known};
use crate::target::{Authority, Form, Target};

pub use http2::{Http2Request, http2_trailers};

/// The head of one request. Cleared heads keep their memory.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    method: Method,
    version: Version,
    /// The raw target, then the value of Host unless the target has an authority.
    line: Vec<u8>,
    target_len: u32,
    target: Target,
    host: Option<(Span, Authority)>,
    host_field_seen: bool,
    marks: Marks,
    framing: Framing,
    fields: Fields,
    pub(crate) trailers: Fields,
}

impl RequestHead {
    /// Makes a head of HTTP/1.1 as if it had been parsed; for tests and for other protocols.
    ///
    /// # Errors
    /// What the same target and fields would be refused with on the wire.
    pub fn build(method: Method, target: &[u8], fields: Fields) -> Result<Self, Reason> {
        let mut head = Self::default();
        head.begin(method, target, Version::Http11)?;
        for (name, value) in fields.iter() {
            if let name::Name::Known(known) = name {
                head.note(known, value)?;
            }
        }
        head.fields = fields;
        head.finish()?;
        Ok(head)
    }

    /// Forgets the request and keeps the memory.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::Http11;
        self.line.clear();
        self.target_len = 0;
        self.target = Target::default();
        self.host = None;
        self.host_field_seen = false;
        self.marks = Marks::default();
        self.framing = Framing::None;
        self.fields.clear();
        self.trailers.clear();
    }

    /// Gives memory back beyond `bytes_max` bytes of text; for pools of reused heads.
    pub fn shrink_to(&mut self, bytes_max: usize) {
        self.line.shrink_to(bytes_max);
        self.fields.shrink_to(bytes_max);
        self.trailers.shrink_to(bytes_max);
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The version.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The target as it was received.
    #[inline]
    pub fn target(&self) -> &[u8] {
        self.line.get(..self.target_len as usize).unwrap_or_default()
    }

    /// The form of the target.
    #[inline]
    pub fn form(&self) -> Form {
        self.target.form
    }

    /// The raw path without query: `/` if an absolute target has none, `*` in asterisk form, empty
    /// in authority form.
    #[inline]
    pub fn path(&self) -> &[u8] {
        match self.target.path.of(&self.line) {
            [] if self.target.form == Form::Absolute => b"/",
            path => path,
        }
    }

    /// The raw query, without its `?`.
    #[inline]
    pub fn query(&self) -> Option<&[u8]> {
        self.target.query.map(|query| query.of(&self.line))
    }

    /// The scheme of an absolute target, as it was spelt.
    pub fn scheme(&self) -> Option<&[u8]> {
        (self.target.form == Form::Absolute).then(|| self.target.scheme.of(&self.line))
    }

    /// `host[:port]` of the target's authority, else of Host; `None` only for HTTP/1.0 without it.
    #[inline]
    pub fn host(&self) -> Option<&[u8]> {
        self.host.map(|(host, _)| host.of(&self.line))
    }

    /// The host without its port; an IPv6 address keeps its brackets.
    #[inline]
    pub fn host_name(&self) -> Option<&[u8]> {
        let (host, authority) = self.host?;
        host.of(&self.line).get(..authority.name_len as usize)
    }

    /// The port that the host names, 1 to 65535.
    #[inline]
    pub fn port(&self) -> Option<u16> {
        self.host?.1.port
    }

    /// The fields.
    #[inline]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, to change. Host, framing and connection of this head stay as they were parsed.
    #[inline]
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.fields
    }

    /// The trailers, complete after `Event::Trailers`.
    #[inline]
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// How the body is delimited; never `Close`.
    #[inline]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants to keep the connection after this exchange.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.marks.keep_alive(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends its body.
    #[inline]
    pub fn expects_continue(&self) -> bool {
        let body_follows = !matches!(self.framing, Framing::None | Framing::Length(0));
        // HTTP/1.0 knows no 1xx: the expectation is ignored there (RFC 9110 §10.1.1).
        body_follows
            && self.version != Version::Http10
            && self.marks.expects_continue().unwrap_or(false)
    }

    /// The protocols that the client offers to switch to, if Connection says so too and the version
    /// is 1.1.
    #[inline]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let asked = self.marks.lists_upgrade() && self.version == Version::Http11;
        if asked { self.fields.get(name::UPGRADE) } else { None }
    }

    /// Takes the parts of a request line.
    pub(crate) fn begin(
        &mut self,
        method: Method,
        target: &[u8],
        version: Version,
    ) -> Result<(), Reason> {
        self.method = method;
        self.version = version;
        self.line.extend_from_slice(target);
        self.target_len = target.len() as u32;
        self.target = Target::parse(&self.method, target)?;
        if let Some(span) = self.target.authority {
            self.host = Some((span, Authority::parse(span.of(target))?));
        }
        Ok(())
    }

    /// Takes note of a field that says something about the message itself.
    #[inline]
    pub(crate) fn note(&mut self, known: Known, value: &[u8]) -> Result<(), Reason> {
        if known == Known::Host {
            return self.note_host(value);
        }
        self.marks.note(known, value);
        Ok(())
    }

    /// Judges the head as a whole, once its last field was noted.
    pub(crate) fn finish(&mut self) -> Result<(), Reason> {
        if !self.host_field_seen && self.version == Version::Http11 {
            return Err(Reason::MissingHost);
        }
        self.framing = self.marks.request_framing(self.version)?;
        self.marks.expects_continue().map(|_| ())
    }

    /// Where fields are read into, beside the rest that is noted meanwhile.
    #[inline]
    pub(crate) fn take_fields(&mut self) -> Fields {
        std::mem::take(&mut self.fields)
    }

    /// Gives back what `take_fields` took.
    #[inline]
    pub(crate) fn put_fields(&mut self, fields: Fields) {
        self.fields = fields;
    }

    /// Host stands once, is well-formed, and equals the target's authority (RFC 9112 §3.2).
    fn note_host(&mut self, value: &[u8]) -> Result<(), Reason> {
        if std::mem::replace(&mut self.host_field_seen, true) {
            return Err(Reason::BadHost);
        }
        let authority = Authority::parse(value)?;
        match self.host {
            Some((span, _)) if span.of(&self.line).eq_ignore_ascii_case(value) => Ok(()),
            Some(_) => Err(Reason::BadHost),
            None => {
                self.host = Some((Span::new(self.line.len(), value.len()), authority));
                self.line.extend_from_slice(value);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, UPGRADE};

    fn head(target: &str, fields: &[(name::Name<'_>, &str)]) -> Result<RequestHead, Reason> {
        let mut all = Fields::new();
        for (name, value) in fields {
            all.append(*name, value.as_bytes());
        }
        RequestHead::build(Method::GET, target.as_bytes(), all)
    }

    #[test]
    fn security_14_host_stands_once_and_equals_the_authority() {
        assert_eq!(head("/", &[]).unwrap_err(), Reason::MissingHost);
        assert_eq!(head("http://a/", &[]).unwrap_err(), Reason::MissingHost);
        assert_eq!(head("/", &[(HOST, "a"), (HOST, "a")]).unwrap_err(), Reason::BadHost);
        assert_eq!(head("http://a/", &[(HOST, "b")]).unwrap_err(), Reason::BadHost);
        assert_eq!(head("http://a:80/", &[(HOST, "a")]).unwrap_err(), Reason::BadHost);
        let same = head("http://A.example:80/x?y", &[(HOST, "a.EXAMPLE:80")]).unwrap();
        assert_eq!(same.host(), Some(&b"A.example:80"[..]));
        assert_eq!(same.scheme(), Some(&b"http"[..]));
        assert_eq!((same.path(), same.query()), (&b"/x"[..], Some(&b"y"[..])));
        let plain = head("/p", &[(HOST, "[::1]:8080")]).unwrap();
        assert_eq!((plain.host_name(), plain.port()), (Some(&b"[::1]"[..]), Some(8080)));
        assert_eq!(Reason::MissingHost.status(), Some(400));
        assert_eq!(Reason::BadHost.status(), Some(400));
    }

    #[test]
    fn an_absolute_target_without_path_means_the_root() {
        let head = head("http://a?q", &[(HOST, "a")]).unwrap();
        assert_eq!((head.path(), head.query()), (&b"/"[..], Some(&b"q"[..])));
    }

    #[test]
    fn changed_fields_do_not_change_what_was_parsed() {
        let mut head = head("/", &[(HOST, "a"), (CONTENT_LENGTH, "3")]).unwrap();
        head.fields_mut().set(HOST, b"b");
        head.fields_mut().remove(CONTENT_LENGTH);
        assert_eq!(head.host(), Some(&b"a"[..]));
        assert_eq!(head.framing(), Framing::Length(3));
    }

    #[test]
    fn expectations_and_protocol_switches_need_their_context() {
        let expect = (EXPECT, "100-Continue");
        assert!(!head("/", &[(HOST, "a"), expect]).unwrap().expects_continue());
        assert!(
            head("/", &[(HOST, "a"), expect, (CONTENT_LENGTH, "1")]).unwrap().expects_continue()
        );
        let other = head("/", &[(HOST, "a"), (EXPECT, "x")]).unwrap_err();
        assert_eq!((other, other.status()), (Reason::UnsupportedExpectation, Some(417)));
        let switch = (UPGRADE, "websocket");
        assert_eq!(head("/", &[(HOST, "a"), switch]).unwrap().upgrade(), None);
        let asked = head("/", &[(HOST, "a"), switch, (CONNECTION, "keep-alive, Upgrade")]).unwrap();
        assert_eq!(asked.upgrade(), Some(&b"websocket"[..]));
    }
}
