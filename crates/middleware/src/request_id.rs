//! Gives every request a name that logs, handlers and the client can refer to.
//!
//! # What
//! The name is that of the request's own field (`X-Request-Id`) where a trusted proxy sent one,
//! else a new one of 32 hexadecimal digits. What is further in sees it in the request's field, the
//! client in the answer's; the placeholder `{request_id}` shows it.
//!
//! # Why
//! One word finds the same request in the logs of everything that it passed.
//!
//! # Example
//! ```toml
//! request_id = { header = "X-Request-Id", accept = "trusted" }
//! ```
//!
//! # Limits
//! A name that a peer sends counts only if it has 1 to 128 visible ASCII characters. New names come
//! from a pseudo-random generator: they are not secrets.
//!
//! # RFC
//! None: the field is a convention.

use stead_config::{Config, Diagnostics, Settings, Spanned, module_docs};
use stead_core::{
    BuildContext, Exchange, Flow, Middleware, MiddlewareKind, Name, check_field_name,
};

/// The kind `request_id`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("request_id", build)
    .summary("give every request a name that logs, handlers and the client see")
    .docs(module_docs!("request_id.rs"))
    .example(r#"request_id = { header = "X-Request-Id", accept = "trusted" }"#)
    .settings::<RequestIdConfig>();

/// Settings of `request_id`. All apply at start.
#[derive(Config)]
#[config(shorthand = "header")]
struct RequestIdConfig {
    /// The field that carries the name, in requests and answers.
    #[config(default = "X-Request-Id")]
    header: Spanned<String>,
    /// Whose names are taken over.
    #[config(default = "trusted")]
    accept: Accept,
}

/// Whose names are taken over.
#[derive(Clone, Copy, Config, PartialEq, Eq)]
enum Accept {
    /// Those that come through one of `trusted_proxies`.
    Trusted,
    /// Everybody's.
    Always,
    /// Nobody's.
    Never,
}

struct RequestId {
    header: Box<[u8]>,
    accept: Accept,
}

/// Characters of a name that a peer sends.
const LEN_MAX: usize = 128;

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: RequestIdConfig = settings.decode()?;
    check_field_name(&config.header)?;
    let header = config.header.as_bytes().into();
    Ok(Box::new(RequestId { header, accept: config.accept }))
}

impl RequestId {
    fn sent<'a>(&self, exchange: &'a Exchange) -> Option<&'a str> {
        let is_accepted = match self.accept {
            Accept::Trusted => exchange.peer_is_trusted(),
            Accept::Always => true,
            Accept::Never => false,
        };
        let sent = exchange.fields().get(Name::Other(&self.header)).filter(|_| is_accepted)?;
        let fits = (1..=LEN_MAX).contains(&sent.len()) && sent.iter().all(u8::is_ascii_graphic);
        std::str::from_utf8(sent).ok().filter(|_| fits)
    }
}

impl Middleware for RequestId {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let id: Box<str> = self.sent(exchange).unwrap_or_else(|| exchange.request_id()).into();
        exchange.fields_mut().set(Name::Other(&self.header), id.as_bytes());
        exchange.set_request_id(id);
        Flow::Continue
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let id: Box<str> = exchange.request_id().into();
        if let Some(response) = exchange.response_mut() {
            response.fields.set(Name::Other(&self.header), id.as_bytes());
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, around, refusal, text};

    fn echo(settings: &str) -> Bench {
        around(&[settings], |exchange| {
            let id = exchange.request_id().to_owned();
            text(&id)(exchange)
        })
    }

    fn check(settings: &str, sent: &str, is_taken_over: bool) {
        let answer = echo(settings).call("GET", "/", &[("x-request-id", sent)]);
        assert_eq!(answer.text(), answer.field("X-Request-Id"), "one name everywhere");
        assert_eq!(answer.text() == sent, is_taken_over, "{settings} {sent}");
        assert!(is_taken_over || answer.text().len() == 32, "{}", answer.text());
    }

    #[test]
    fn a_name_is_taken_over_only_where_that_is_said_and_it_is_harmless() {
        check("request_id = {}", "abc", false);
        check("request_id = { accept = 'always' }", "abc", true);
        check("request_id = { accept = 'always' }", "a b", false);
        check("request_id = { accept = 'always' }", &"x".repeat(129), false);
        check("request_id = { accept = 'never' }", "abc", false);
    }

    #[test]
    fn no_two_requests_have_the_same_name() {
        let bench = echo("request_id = 'X-Trace'");
        let (first, second) = (bench.page("/"), bench.page("/"));
        assert_ne!(first.field("X-Trace"), second.field("X-Trace"));
        assert_eq!(first.field("X-Request-Id"), "");
    }

    #[test]
    fn the_field_must_be_one() {
        assert_eq!(refusal("request_id = 'a b'").len(), 1);
        assert_eq!(refusal("request_id = 'Connection'").len(), 1);
    }
}
