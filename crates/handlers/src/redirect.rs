//! Sends the client to another address.
//!
//! # What
//! `to` is what `Location` says: a path of this host (`/new/{rest}`) or an address in full
//! (`https://www.example.com{uri}`). A string alone is `to`.
//!
//! # Why
//! Moved pages, one name for a site that has several, plaintext to TLS.
//!
//! # Example
//! ```toml
//! redirect = { to = "/history/{year}", status = 308 }
//! ```
//!
//! # Placeholders
//! What the route's pattern captures, still escaped, then `{host}` (without its port), `{path}`,
//! `{query}` (without `?`), `{uri}` (path and query), `{method}`, `{scheme}`, `{client_ip}` and
//! `{request_id}`. The query is not kept unless `to` says so: `{?query}` is `?` and the query, or
//! nothing where there is none, and `{&query}` the same with `&`: `/new/{rest}{?query}`. Behind a
//! `?` all others stay within their parameter: `/login?next={uri}` has one. Filled once: what a
//! client sends is never looked at for further placeholders. `$1` and the names of nginx's
//! variables are errors that say what to write; `$$1` is a literal `$1`.
//!
//! # Limits
//! Only the text of the configuration can name another host: of the placeholders `{host}` alone may
//! stand where the host stands, the path after it always begins with exactly one slash, and what
//! could be read as more (control characters, backslashes, quotes) is escaped.
//!
//! # RFC
//! RFC 9110 §15.4 (status codes), §10.2.2 (`Location`), RFC 3986 §4.2 (references).

use stead_config::{
    Config, Decoder, Diagnostic, Diagnostics, Piece, Schema, Settings, Template, Value, module_docs,
};
use stead_core::{
    BuildContext, Exchange, Fact, Handler, HandlerKind, Part, Reason, Reply, Response, Result,
    StatusCode, Text, name,
};

/// The kind `redirect`.
pub const KIND: HandlerKind = HandlerKind::new("redirect", build)
    .summary("send the client to another address")
    .docs(module_docs!("redirect.rs"))
    .example(r#"redirect = { to = "/new{path}", status = 308 }"#)
    .settings::<RedirectConfig>();

/// Settings of `redirect`. All apply at start.
#[derive(Config)]
#[config(shorthand = "to")]
struct RedirectConfig {
    /// Where to: a path that begins with `/`, or `https://` with a host. Takes placeholders.
    to: Template,
    /// 301 or 308 for good, 302 or 307 for now; 308 and 307 keep the method, and 303 asks for GET.
    #[config(default = 308)]
    status: RedirectStatus,
}

/// A status that sends the client elsewhere.
struct RedirectStatus(StatusCode);

impl Config for RedirectStatus {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let is_word = value.as_str().is_some_and(|text| text.parse::<u16>().is_err());
        let number = if is_word { 0 } else { u16::decode(value, decoder)? };
        let status = StatusCode::from_u16(number).ok().filter(|_| STATUSES.contains(&number));
        if status.is_none() {
            let message = "`status` must be one of a redirect's";
            let help = "write 308 (for good) or 307 (for now), or 301, 302, 303";
            decoder.report(Diagnostic::error(value.span, message).help(help));
        }
        status.map(Self)
    }

    fn schema() -> Schema {
        Schema::Numbers(STATUSES)
    }
}

const STATUSES: &[u16] = &[301, 302, 303, 307, 308];

struct Redirect {
    status: StatusCode,
    location: Location,
}

/// What `to` says, taken apart.
#[derive(Debug, Default, PartialEq)]
struct Location {
    /// Scheme and host; nothing for this host.
    origin: Vec<Part>,
    /// Path, query and fragment.
    rest: Vec<Part>,
}

fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics> {
    let config: RedirectConfig = settings.decode()?;
    let location = Location::parse(&Text::compile(&config.to, context)?, &config.to)?;
    if location.is_own_path(context) {
        let error = Diagnostic::error(config.to.span(), "the redirect leads to its own route");
        return Err(error.help("write another path, or another host").into());
    }
    Ok(Box::new(Redirect { status: config.status.0, location }))
}

impl Location {
    /// Takes `to` apart. SECURITY: what follows the scheme up to the path holds text and `{host}`
    /// only, so that no request can choose another host (SECURITY.md 43).
    fn parse(text: &Text, to: &Template) -> Result<Self, Diagnostic> {
        let parts: Vec<(Part, &Piece)> = text.parts().iter().cloned().zip(to.pieces()).collect();
        let scheme_bytes = match parts.as_slice() {
            [(Part::Literal(text), _), ..] => scheme_len(text),
            [(Part::Fact(Fact::Scheme), _), (Part::Literal(text), _), ..]
                if text.starts_with("://") =>
            {
                Some(3)
            }
            [(Part::Fact(Fact::Path | Fact::Uri), _), ..] => None,
            _ => return Err(misplaced_start(to)),
        };
        let mut location = Self::default();
        let Some(scheme_bytes) = scheme_bytes else {
            location.rest = parts.into_iter().map(|(part, _)| part).collect();
            return match location.rest.first() {
                Some(Part::Literal(text)) if !text.starts_with('/') => Err(misplaced_start(to)),
                _ => Ok(location),
            };
        };
        location.split_origin(parts, scheme_bytes, to)?;
        Ok(location)
    }

    /// Sorts the parts of an address in full: those up to the end of its host, and the rest.
    fn split_origin(
        &mut self,
        parts: Vec<(Part, &Piece)>,
        scheme_bytes: usize,
        to: &Template,
    ) -> Result<(), Diagnostic> {
        let (mut has_host, mut in_scheme) = (false, true);
        for (part, piece) in parts {
            if !self.rest.is_empty() {
                self.rest.push(part);
                continue;
            }
            match part {
                Part::Literal(text) => {
                    let first = std::mem::replace(&mut in_scheme, false);
                    let skip = if first { scheme_bytes } else { 0 };
                    let host = &text[skip..];
                    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
                    has_host |= end > 0;
                    if !host[..end].bytes().all(is_authority_byte) {
                        let message = "a host cannot hold these characters";
                        let help = "write it as it stands in an address, in ASCII";
                        return Err(Diagnostic::error(to.span(), message).help(help));
                    }
                    let (origin, rest) = text.split_at(skip + end);
                    self.origin.push(Part::Literal(origin.into()));
                    if !rest.is_empty() {
                        self.rest.push(Part::Literal(rest.into()));
                    }
                }
                Part::Fact(Fact::Scheme) if in_scheme && self.origin.is_empty() => {
                    self.origin.push(part);
                }
                Part::Fact(Fact::Host) => {
                    has_host = true;
                    self.origin.push(part);
                }
                Part::Fact(Fact::Path | Fact::Uri | Fact::FirstQuery) => self.rest.push(part),
                _ => return Err(misplaced_in_host(piece, to)),
            }
        }
        if has_host { Ok(()) } else { Err(misplaced_start(to)) }
    }

    /// Whether a client that follows comes back here, for ever.
    fn is_own_path(&self, context: &BuildContext<'_>) -> bool {
        let Some(own) = context.path().filter(|_| self.origin.is_empty()) else { return false };
        let is_query = |part: &Part| *part == Part::Fact(Fact::FirstQuery);
        let path = self.rest.split(is_query).next().unwrap_or_default();
        if matches!(path, [Part::Fact(Fact::Path | Fact::Uri)]) {
            return true;
        }
        let mut text = String::new();
        for part in path {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Capture(index) => match context.captures().get(*index) {
                    Some(name) => text.extend(["{", name, "}"]),
                    None => return false,
                },
                Part::Fact(_) => return false,
            }
        }
        text.split(['?', '#']).next() == Some(own.replace("{*", "{").as_str())
    }

    /// Writes what `Location` says.
    ///
    /// # Errors
    /// The host is wanted, and the request names none.
    fn write(&self, exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), Reason> {
        for part in &self.origin {
            if *part == Part::Fact(Fact::Host) && exchange.head().host_name().is_none() {
                return Err(Reason::MissingHost);
            }
            write_escaped(part, exchange, false, out);
        }
        let start = out.len();
        for part in &self.rest {
            let in_query = out[start..].contains(&b'?');
            write_escaped(part, exchange, in_query, out);
        }
        // SECURITY: two slashes would begin a host (SECURITY.md 43).
        let slashes = out[start..].iter().take_while(|byte| **byte == b'/').count();
        let begins_path = !matches!(out.get(start), None | Some(b'?' | b'#'));
        match slashes {
            0 if begins_path || self.origin.is_empty() => out.insert(start, b'/'),
            0 | 1 => {}
            more => drop(out.drain(start..start + more - 1)),
        }
        Ok(())
    }
}

fn misplaced_start(to: &Template) -> Diagnostic {
    Diagnostic::error(to.span(), "a redirect goes to a path or to an address in full")
        .help("begin with `/`, or with `https://` and a host")
}

fn misplaced_in_host(piece: &Piece, to: &Template) -> Diagnostic {
    let (span, name) = match piece {
        Piece::Placeholder(name) => (name.span, name.value.as_str()),
        Piece::Text(_) => (to.span(), ""),
    };
    Diagnostic::error(span, format!("`{{{name}}}` would let a request choose the host"))
        .help(format!("write the host out, and `/` before `{{{name}}}`"))
}

/// Bytes of `https://`, `http://` or `//` at the start of a text.
fn scheme_len(text: &str) -> Option<usize> {
    ["https://", "http://", "//"]
        .iter()
        .find(|scheme| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .map(|scheme| scheme.len())
}

fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
}

/// Appends a part so that no byte means more than itself.
fn write_escaped(part: &Part, exchange: &Exchange, in_query: bool, out: &mut Vec<u8>) {
    let mut raw = exchange.worker().buffer();
    if in_query {
        part.write_in_query(exchange, &mut raw);
    } else {
        part.write(exchange, &mut raw);
    }
    push_escaped(&raw, out);
    exchange.worker().reclaim_buffer(raw);
}

/// What is not visible ASCII is escaped, as are the characters that no address holds and
/// that browsers read in their own ways.
fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=b' ' | 0x7F.. => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
            }
            _ => out.push(*byte),
        }
    }
}

impl Handler for Redirect {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let mut location = exchange.worker().buffer();
        let response = match self.location.write(exchange, &mut location) {
            Ok(()) => self.respond(exchange, &location),
            Err(reason) => exchange.refuse(reason),
        };
        exchange.worker().reclaim_buffer(location);
        Reply::Ready(response)
    }
}

impl Redirect {
    fn respond(&self, exchange: &Exchange, location: &[u8]) -> Response {
        let mut response = exchange.respond(self.status);
        response.fields.set(name::LOCATION, location);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bench, refusal};
    use proptest::prelude::*;

    fn location(pattern: &str, to: &str, uri: &str) -> String {
        let answer = bench(pattern, &format!("redirect = {to:?}")).call("GET", uri, &[]);
        assert_eq!((answer.status, answer.body.len()), (308, 0));
        answer.field("Location")
    }

    fn check(pattern: &str, to: &str, uri: &str, expect: &str) {
        assert_eq!(location(pattern, to, uri), expect, "{pattern} {to} {uri}");
    }

    #[test]
    fn placeholders_are_filled_once_and_stay_escaped() {
        check("/a/{x}", "/b/{x}", "/a/1", "/b/1");
        check("/a/{x}", "/b/{x}", "/a/%7Bpath%7D%20%C3%A9", "/b/%7Bpath%7D%20%C3%A9");
        check("/{*rest}", "/new{path}", "/a/b?c=d", "/new/a/b");
        check("/{*rest}", "/new{uri}", "/a/b?c=d", "/new/a/b?c=d");
        check("/{*rest}", "/new?old={path}&{query}", "/a?c=d", "/new?old=/a&c=d");
        check("/old/{*rest}", "/new/{rest}{?query}", "/old/a?c=d", "/new/a?c=d");
        check("/old/{*rest}", "/new/{rest}{?query}", "/old/a", "/new/a");
        check("/old/{*rest}", "/new/{rest}{?query}", "/old/a?", "/new/a");
        check("/a", "/new?b=c{&query}#x", "/a?d", "/new?b=c&d#x");
        check("/a", "/new?b=c{&query}#x", "/a", "/new?b=c#x");
        check("/a", "https://b.example{?query}", "/a?d", "https://b.example?d");
        check("/a", "https://b.example{?query}", "/a", "https://b.example");
        check("/a", "/{method}/{scheme}/{client_ip}/{host}", "/a", "/GET/http/192.0.2.1/a.example");
        check("/{host}", "/x/{host}", "/capture", "/x/capture");
        check("/a", "/{{x}#top", "/a", "/%7Bx%7D#top");
        check("/a", "/caf\u{e9} bar", "/a", "/caf%C3%A9%20bar");
    }

    /// Once a path could bring parameters of its own, such as a second `next`.
    #[test]
    fn a_placeholder_stays_within_its_parameter() {
        let login = "https://id.example/login?next={uri}&app=1";
        let location = "https://id.example/login?next=/a?x=1%26next=//evil.example%26y=%2526&app=1";
        check("/{*r}", login, "/a?x=1&next=//evil.example&y=%26", location);
        check(
            "/{*r}",
            "/new?old={path}&{query}",
            "/a&b=c+d;e?f&g",
            "/new?old=/a%26b=c%2Bd%3Be&f&g",
        );
        check("/{*r}", "/new?old={r}", "/a&b%26", "/new?old=a%26b%26");
        check("/{*r}", "/{r}?x", "/a&b", "/a&b?x");
    }

    #[test]
    fn an_address_in_full_names_the_host() {
        check("/{*r}", "https://www.example.com{uri}", "/a?b", "https://www.example.com/a?b");
        check("/{*r}", "https://{host}:8443{uri}", "/a", "https://a.example:8443/a");
        check("/{*r}", "{scheme}://www.{host}/{r}", "/a", "http://www.a.example/a");
        check("/{*r}", "https://www.example.com", "/a", "https://www.example.com");
        check("/{*r}", "HTTPS://x.example?a={r}", "/b", "HTTPS://x.example?a=b");
        check("/{*r}", "//cdn.example/{r}", "/b", "//cdn.example/b");
    }

    #[test]
    fn security_43_a_location_stays_on_this_host() {
        check("/{*rest}", "/{rest}", "//evil.com", "/evil.com");
        check("/old/{*rest}", "/{rest}", "/old//evil.com", "/evil.com");
        check("/old/{*rest}", "/{rest}", "/old///evil.com/x", "/evil.com/x");
        check("/{*rest}", "{path}", "//evil.com", "/evil.com");
        check("/{*rest}", "{uri}", "//evil.com//x?//y", "/evil.com//x?//y");
        check("/{*rest}", "/{query}", "/?/evil.com", "/evil.com");
        check("/{*rest}", "/{query}", "/?\\evil.com", "/%5Cevil.com");
        check("/{*rest}", "https://a.example{path}", "//evil.com", "https://a.example/evil.com");
        check("/old/{*rest}", "/{rest}", "/old/", "/");
    }

    #[test]
    fn security_43_only_the_configuration_names_a_host() {
        let refused = |to: &str| refusal("/{*rest}", &format!("redirect = {to:?}")).len();
        for to in [
            "https://{rest}",
            "https://{rest}/x",
            "https://x{rest}",
            "https://x.{rest}.example/",
            "//{rest}",
            "///{rest}",
            "https:///x",
            "{scheme}://{path}",
            "{rest}",
            "{host}",
            "",
            "{scheme}:{rest}",
            "{scheme}",
            "javascript:alert(1)",
            "ftp://x/",
            "x",
            "?x",
            "#x",
            "{scheme}{scheme}://x/",
            "https://a@b/",
            "https://caf\u{e9}/",
            "https://x\\{rest}",
            "https://x{&query}",
            "{?query}",
        ] {
            assert_eq!(refused(to), 1, "{to}");
        }
        assert_eq!(refused("/{yaer}/{mont}"), 2);
        assert_eq!(refusal("/", "redirect = { to = '/x', status = 200 }").len(), 1);
        assert_eq!(refusal("/", "redirect = { to = '/{x}', status = 304 }").len(), 2);
        // Unknown keys once hid what building finds.
        assert_eq!(refusal("/", "redirect = { to = 'x', status = 304, y = 1 }").len(), 3);
    }

    #[test]
    fn a_request_without_host_is_refused_where_the_host_is_wanted() {
        let bench = bench("/", "redirect = 'https://{host}/'");
        let answer = bench.call_without_host("/");
        assert_eq!((answer.status, answer.reason), (400, Reason::MissingHost));
    }

    #[test]
    fn the_status_is_chosen() {
        let bench = bench("/", "redirect = { to = '/x', status = 303 }");
        assert_eq!(bench.call("POST", "/", &[]).status, 303);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_a_relative_location_has_one_leading_slash(
            path in "(/|\\\\|[!-~]){1,20}",
        ) {
            let path = format!("/{path}").replace('#', "/");
            for to in ["/{rest}", "{path}", "{uri}", "/{query}"] {
                let bench = bench("/{*rest}", &format!("redirect = {to:?}"));
                let Some(answer) = bench.try_call("GET", &path, &[]) else { continue };
                let location = answer.field("Location");
                prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
                prop_assert!(!location.contains('\\') && location.is_ascii());
            }
        }
    }
}
