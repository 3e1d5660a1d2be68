//! Answers every request with the same text.
//!
//! # What
//! A status, a body and headers out of the configuration. A string alone is the body of a 200.
//!
//! # Why
//! For heartbeats, maintenance pages, `robots.txt`, and for trying things out.
//!
//! # Example
//! ```toml
//! respond = { status = 503, body = "back soon\n", headers = { retry-after = "120" } }
//! ```
//!
//! # Limits
//! `text/plain; charset=utf-8` unless `headers` says otherwise. Takes no placeholders. Headers that
//! frame a message (`Content-Length`, `Connection` and their like) and `Date` are Stead's own.
//! Takes every method; an answer to HEAD has no body.
//!
//! # RFC
//! RFC 9110 §6.4 (content), §8.3 (`Content-Type`), §15 (status codes).

use bytes::Bytes;
use stead_config::{Config, Diagnostic, Diagnostics, Map, Settings, Spanned, module_docs};
use stead_core::{
    Body, BuildContext, Exchange, Fields, Handler, HandlerKind, Name, Reply, StatusCode,
    check_field_name, check_field_value, name,
};

/// The kind `respond`.
pub const KIND: HandlerKind = HandlerKind::new("respond", build)
    .summary("answer with a text of the configuration")
    .docs(module_docs!("respond.rs"))
    .example(r#"respond = { status = 200, body = "ok\n" }"#)
    .settings::<RespondConfig>();

/// Settings of `respond`. All apply at start.
#[derive(Config)]
#[config(shorthand = "body")]
struct RespondConfig {
    /// The status code.
    #[config(default = 200, range = 200..=599)]
    status: Spanned<u16>,
    /// The body. Empty unless given.
    #[config(default = "")]
    body: Spanned<String>,
    /// Header fields of the answer.
    #[config(default)]
    headers: Map<Spanned<String>>,
}

struct Respond {
    status: StatusCode,
    fields: Fields,
    body: Bytes,
}

/// Up to this size the body is copied into a buffer of the worker: cheaper than the counter of
/// references, which all workers would share.
const COPIED_BYTES_MAX: usize = 8 << 10;

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics> {
    let config: RespondConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    let status = StatusCode::from_u16(config.status.value).unwrap_or_default();
    if config.status.value == 444 {
        let message = "444 is no status: nginx closes the connection there";
        let help = "write another status; `unknown_host = \"close\"` of the server closes \
                    connections that ask for hosts of no site";
        wrong.push(Diagnostic::error(config.status.span, message).help(help));
    }
    if !config.body.is_empty() && is_without_body(status) {
        let message = format!("an answer with status {} has no body", status.as_str());
        let help = "take `body` out, or write another status";
        wrong.push(Diagnostic::error(config.body.span, message).help(help));
    }
    let mut fields = Fields::new();
    if !config.body.is_empty() {
        fields.set(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
    }
    let mut seen: Vec<&Spanned<String>> = Vec::new();
    for (field, value) in &config.headers {
        if let Some(earlier) = seen.iter().find(|other| other.eq_ignore_ascii_case(field)) {
            let error = Diagnostic::error(field.span, "a header is set twice");
            wrong.push(error.help("write it once").related(earlier.span, "the first is here"));
        }
        seen.push(field);
        if let Err(diagnostic) = set(&mut fields, field, value) {
            wrong.push(diagnostic);
        }
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    let body = Bytes::from(config.body.value);
    Ok(Box::new(Respond { status, fields, body }))
}

fn set(
    fields: &mut Fields,
    field: &Spanned<String>,
    value: &Spanned<String>,
) -> Result<(), Diagnostic> {
    check_field_name(field)?;
    check_field_value(value)?;
    fields.set(Name::Other(field.as_bytes()), value.as_bytes());
    Ok(())
}

/// Statuses whose answers end with their head (RFC 9112 §6.3).
fn is_without_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Handler for Respond {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let mut response = exchange.respond(self.status);
        response.fields.extend_from(&self.fields);
        response.body = match self.body.len() {
            0 => Body::Empty,
            1..=COPIED_BYTES_MAX => {
                let mut buffer = exchange.worker().buffer();
                buffer.extend_from_slice(&self.body);
                Body::Buffer(buffer)
            }
            _ => Body::Bytes(self.body.clone()),
        };
        Reply::Ready(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bench, refusal};
    use stead_core::Reason;

    #[test]
    fn a_string_is_the_body_of_a_200() {
        let answer = bench("/", r#"respond = "ok\n""#).call("GET", "/", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
        assert_eq!(answer.field("Content-Type"), "text/plain; charset=utf-8");
        assert_eq!(answer.reason, Reason::Ok);
    }

    #[test]
    fn headers_replace_the_type_and_add_others() {
        let settings = "respond = { status = 503, body = '{}', headers = { content-type = \
                        'application/json', Retry-After = '120' } }";
        let answer = bench("/", settings).call("POST", "/", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (503, "{}"));
        assert_eq!(answer.field("Content-Type"), "application/json");
        assert_eq!(answer.field("Retry-After"), "120");
    }

    #[test]
    fn large_bodies_are_shared_and_empty_ones_have_no_type() {
        let body = "x".repeat(COPIED_BYTES_MAX + 1);
        let answer = bench("/", &format!("respond = '{body}'")).call("GET", "/", &[]);
        assert_eq!(answer.text(), body);
        let answer = bench("/", "respond = { status = 204 }").call("GET", "/", &[]);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.field("Content-Type"), "");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let refused = |settings: &str| refusal("/", settings).len();
        assert_eq!(refused("respond = { status = 204, body = 'x' }"), 1);
        assert_eq!(refused("respond = { status = 101 }"), 1);
        assert_eq!(refused("respond = { status = 200, bodi = 'x' }"), 1);
        assert_eq!(refused("respond = { headers = { 'a b' = 'x', b = \"x\\r\\ny: z\" } }"), 2);
        assert_eq!(refused("respond = { headers = { Content-Length = '1', date = 'x' } }"), 2);
        assert_eq!(refused("respond = { headers = { x-a = '1', X-A = '2' } }"), 1);
    }
}
