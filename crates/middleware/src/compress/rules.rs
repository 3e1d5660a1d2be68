//! Which answers are compressed, whatever the client takes.
//!
//! Source: RFC 9110 §7.7 (`no-transform`), §14.4, §15.3.7; Fetch Metadata Request Headers (W3C).

use stead_core::{Body, Exchange, Fields, Name, Response, StatusCode, name};
use stead_http1::Known;

use super::Compress;

impl Compress {
    /// Whether an answer could be compressed for somebody.
    pub(super) fn is_worth_it(&self, response: &Response) -> bool {
        let is_large = match &response.body {
            Body::Empty | Body::Tunnel(_) => false,
            body => body.len().is_none_or(|len| len > 0 && len >= self.minimum),
        };
        is_large
            && is_whole(response.status)
            && self.may_transform(&response.fields)
            && !response.fields.contains(name::CONTENT_RANGE)
    }

    /// Whether an answer is a part of what could be compressed for somebody, which its own `Vary`
    /// must say like that of the whole (RFC 9110 §15.3.7). Of several parts nobody knows the type.
    pub(super) fn is_part_of_it(&self, response: &Response) -> bool {
        let fields = &response.fields;
        let is_of_several = || {
            let content_type = fields.get(name::CONTENT_TYPE).unwrap_or_default();
            content_type.starts_with(b"multipart/byteranges")
        };
        response.status == StatusCode::PARTIAL_CONTENT
            && (self.may_transform(fields) || is_of_several())
    }

    fn may_transform(&self, fields: &Fields) -> bool {
        let mut is_listed = false;
        for (name, value) in fields.iter() {
            match name {
                Name::Known(Known::ContentType) => is_listed = self.types.take(value),
                Name::Known(Known::ContentEncoding) => return false,
                Name::Known(Known::CacheControl) if names(value, b"no-transform") => return false,
                _ => {}
            }
        }
        is_listed
    }
}

/// Whether an answer with this status has content, and all of it.
fn is_whole(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        )
}

/// Whether a list such as that of `Cache-Control` names a word. SECURITY: one inside quotes counts
/// too; it is only ever a reason to leave an answer alone.
fn names(list: &[u8], word: &[u8]) -> bool {
    let mut elements = list.split(|byte| matches!(byte, b',' | b'"' | b'='));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(word))
}

/// Whether the length of a compressed answer could tell a secret to somebody else (BREACH): it sets
/// a cookie, or another site had the browser ask with what identifies the user, without a click.
pub(super) fn may_tell_secrets(exchange: &Exchange) -> bool {
    let sets_cookie =
        exchange.response().is_some_and(|response| response.fields.contains(name::SET_COOKIE));
    sets_cookie || is_forged(exchange)
}

fn is_forged(exchange: &Exchange) -> bool {
    let fields = exchange.fields();
    let is = |name: &[u8], value: &[u8]| fields.get(Name::Other(name)) == Some(value);
    is(b"Sec-Fetch-Site", b"cross-site")
        && !is(b"Sec-Fetch-User", b"?1")
        && (exchange.is_personal() || fields.contains(name::COOKIE))
}
