//! Lets pages of other origins read answers.
//!
//! # What
//! A request with `Origin` is answered with the `Access-Control-…` fields where that origin is
//! listed, errors included. A browser's question before a request (the preflight: OPTIONS with
//! `Access-Control-Request-Method`) is answered here with 204, and with the middleware of the route
//! that it asks about. With `origins = "*"` every answer says so, asked or not, so that caches may
//! give it to any page.
//!
//! # Why
//! Browsers keep an answer from pages of other origins unless it says that they may read it.
//!
//! # Example
//! ```toml
//! cors = { origins = ["https://app.example.com", "https://*.example.org"], credentials = true }
//! ```
//!
//! # Limits
//! An origin that is not listed is never repeated; the request itself is answered all the same,
//! because CORS keeps no request away. `"https://*.example.org"` takes every name below, not
//! `example.org` itself, and no other port. What the handler says of these fields is replaced.
//! List it before what asks for passwords: a preflight carries none. `"*"` among `headers` does not
//! stand for `Authorization`, which has to be named.
//!
//! # RFC
//! Fetch, "HTTP extensions: CORS protocol"; RFC 6454 §6.2 (an origin's text).

use stead_config::{
    Config, Diagnostic, Diagnostics, Duration, OneOrMany, Settings, Spanned, module_docs,
};
use stead_core::{
    BuildContext, Exchange, Fields, Flow, Method, Middleware, MiddlewareKind, StatusCode, name,
};

/// The kind `cors`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("cors", build)
    .summary("let pages of other origins read answers")
    .docs(module_docs!("cors.rs"))
    .example(r#"cors = { origins = ["https://app.example.com"], credentials = true }"#)
    .settings::<CorsConfig>();

/// Settings of `cors`. All apply at start.
#[derive(Config)]
#[config(shorthand = "origins")]
struct CorsConfig {
    /// Whose pages may read answers: scheme and host, with a port that is not the scheme's own;
    /// `"https://*.example.com"` for every name below; `"*"` for every origin.
    origins: OneOrMany<Spanned<String>>,
    /// Methods that they may use, beside GET, HEAD and POST, which need no leave; `"*"` for all.
    #[config(default = ["GET", "HEAD", "POST"])]
    methods: OneOrMany<Spanned<String>>,
    /// Fields that their requests may carry; `"*"` for all but `Authorization`.
    #[config(default = [])]
    headers: OneOrMany<Spanned<String>>,
    /// Fields of answers that they may read, beside a few that everyone may; `"*"` for all.
    #[config(default = [])]
    expose: OneOrMany<Spanned<String>>,
    /// Whether their requests may carry cookies and passwords. Not with `"*"`.
    #[config(default = false)]
    credentials: Spanned<bool>,
    /// How long browsers remember the answer to a preflight; they have limits of their own.
    #[config(default = "10m", range = "0s"..="1d")]
    max_age: Duration,
}

struct Cors {
    origins: Origins,
    credentials: bool,
    /// What an answer to a preflight says beside its origin.
    preflight: Fields,
    /// The names of fields that pages may read; empty without any.
    expose: Box<[u8]>,
}

enum Origins {
    Any,
    Listed(Box<[Origin]>),
}

/// One origin of the list, in lower case, as browsers write it.
#[derive(Debug, PartialEq)]
enum Origin {
    Exact(Box<str>),
    /// All names below one.
    Below {
        /// `https://`
        scheme: Box<str>,
        /// `.example.com:8443`
        rest: Box<str>,
    },
}

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: CorsConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    let origins = Origins::build(&config, settings, &mut wrong);
    let mut preflight = Fields::new();
    let methods = joined(&config.methods, &config, method, &mut wrong);
    preflight.append(name::ACCESS_CONTROL_ALLOW_METHODS, methods.as_bytes());
    let headers = joined(&config.headers, &config, header, &mut wrong);
    if !headers.is_empty() {
        preflight.append(name::ACCESS_CONTROL_ALLOW_HEADERS, headers.as_bytes());
    }
    let max_age = config.max_age.as_secs().to_string();
    preflight.append(name::ACCESS_CONTROL_MAX_AGE, max_age.as_bytes());
    let expose = joined(&config.expose, &config, header, &mut wrong).into_bytes().into();
    if wrong.has_errors() {
        return Err(wrong);
    }
    Ok(Box::new(Cors { origins, credentials: *config.credentials, preflight, expose }))
}

impl Origins {
    fn build(config: &CorsConfig, settings: &Settings, wrong: &mut Diagnostics) -> Self {
        let texts = &config.origins.0;
        if texts.is_empty() {
            let error = Diagnostic::error(settings.span(), "there is no origin");
            wrong.push(error.help("write `origins = [\"https://app.example.com\"]`"));
        }
        if let Some(any) = texts.iter().find(|text| ***text == "*") {
            if texts.len() > 1 {
                let error = Diagnostic::error(any.span, "`*` already takes every other origin");
                wrong.push(error.help("write `origins = \"*\"`, or take `*` out"));
            }
            if *config.credentials {
                // SECURITY: any page could act as its visitor, and browsers refuse it.
                let message = "`credentials` wants the origins named";
                let error = Diagnostic::error(config.credentials.span, message);
                let help = "write the origins out, or take `credentials` out";
                wrong.push(error.help(help).related(any.span, "every origin is allowed here"));
            }
            return Self::Any;
        }
        let mut origins = Vec::with_capacity(texts.len());
        for text in texts {
            match Origin::parse(text) {
                Ok(origin) => origins.push(origin),
                Err((message, help)) => {
                    wrong.push(Diagnostic::error(text.span, message).help(help));
                }
            }
        }
        Self::Listed(origins.into())
    }
}

impl Origin {
    /// Reads an origin; the error is a message and what to write.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        const EXAMPLE: &str = "write `https://app.example.com`";
        let error = |message: &str, help: String| Err((message.to_owned(), help));
        let text = text.to_ascii_lowercase();
        if text == "null" {
            let help = "take it out: every page in a sandbox or from a file has it";
            return error("`null` is no origin to trust", help.to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let help = if is_authority(&text) {
                format!("write `https://{text}`")
            } else {
                EXAMPLE.to_owned()
            };
            return error("an origin has a scheme", help);
        };
        if let Some(rest) = rest.strip_suffix('/')
            && is_authority(rest.strip_prefix("*.").unwrap_or(rest))
        {
            return error("an origin has no path", format!("write `{scheme}://{rest}`"));
        }
        let own_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "\0",
        };
        if let Some(rest) = rest.strip_suffix(own_port) {
            let help = format!("write `{scheme}://{rest}`");
            return error("browsers leave the scheme's own port out", help);
        }
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let below = rest.strip_prefix("*.");
        if !is_scheme || !is_authority(below.unwrap_or(rest)) {
            return error("this is no origin", EXAMPLE.to_owned());
        }
        match below {
            // SECURITY: `*.com` would be everybody.
            Some(parent) if !parent.contains('.') && !parent.starts_with("localhost") => {
                let help = "write `https://*.example.com`, or the origins one by one".to_owned();
                error("`*.` stands before a name with a dot", help)
            }
            Some(parent) => {
                let (scheme, rest) = (format!("{scheme}://"), format!(".{parent}"));
                Ok(Self::Below { scheme: scheme.into(), rest: rest.into() })
            }
            None => Ok(Self::Exact(text.into())),
        }
    }

    fn takes(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(own) => own.as_bytes() == origin,
            Self::Below { scheme, rest } => {
                let labels = origin
                    .strip_prefix(scheme.as_bytes())
                    .and_then(|origin| origin.strip_suffix(rest.as_bytes()));
                // SECURITY: names only, so that nothing but a host stands before the suffix.
                labels.is_some_and(|labels| {
                    labels.split(|byte| *byte == b'.').all(|label| {
                        !label.is_empty() && label.iter().all(|byte| is_label_byte(*byte))
                    })
                })
            }
        }
    }
}

const fn is_label_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// Whether a text is a host in lower case, perhaps with a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, "1"),
    };
    let is_port = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    let is_ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match is_ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte)),
    };
    is_port && is_host
}

/// The items, each checked, as one value.
fn joined(
    items: &OneOrMany<Spanned<String>>,
    config: &CorsConfig,
    check: fn(&Spanned<String>) -> Result<(), Diagnostic>,
    wrong: &mut Diagnostics,
) -> String {
    for item in &items.0 {
        if **item == "*" && *config.credentials {
            // With credentials browsers take it for a name of its own.
            let error = Diagnostic::error(item.span, "`*` stands for nothing with `credentials`");
            wrong.push(error.help("write the names out"));
        } else if let Err(error) = check(item) {
            wrong.push(error);
        }
    }
    let items: Vec<&str> = items.0.iter().map(|item| item.as_str()).collect();
    // A value with a control character was reported.
    if wrong.has_errors() { String::new() } else { items.join(", ") }
}

fn method(text: &Spanned<String>) -> Result<(), Diagnostic> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let meant = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(text) && **known != **text);
    if let Some(meant) = meant {
        let error = Diagnostic::error(text.span, "methods are written in capitals");
        return Err(error.help(format!("write `{meant}`")));
    }
    if Fields::new().try_append(text.as_bytes(), b"").is_err() {
        let error = Diagnostic::error(text.span, "this is no method");
        return Err(error.help("write one such as `PUT`"));
    }
    Ok(())
}

fn header(text: &Spanned<String>) -> Result<(), Diagnostic> {
    match Fields::new().try_append(text.as_bytes(), b"") {
        Ok(()) => Ok(()),
        Err(_) => Err(Diagnostic::error(text.span, "this is no header name")
            .help("write letters, digits and `-`")),
    }
}

/// Whether a browser asks before it dares (Fetch, "CORS-preflight fetch").
fn is_preflight(exchange: &Exchange) -> bool {
    *exchange.method() == Method::OPTIONS
        && exchange.fields().contains(name::ORIGIN)
        && exchange.fields().contains(name::ACCESS_CONTROL_REQUEST_METHOD)
}

impl Cors {
    /// The origin of the request; nothing unless it has exactly one that is listed.
    fn listed<'e>(&self, exchange: &'e Exchange) -> &'e [u8] {
        let mut origins = exchange.fields().values(name::ORIGIN);
        match (origins.next(), origins.next(), &self.origins) {
            (Some(origin), None, Origins::Listed(listed))
                if listed.iter().any(|known| known.takes(origin)) =>
            {
                origin
            }
            _ => b"",
        }
    }

    fn mark(&self, fields: &mut Fields, origin: &[u8], is_preflight: bool) {
        for own in [
            name::ACCESS_CONTROL_ALLOW_ORIGIN,
            name::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            name::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            fields.remove(own);
        }
        if origin.is_empty() {
            return;
        }
        fields.append(name::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            fields.append(name::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true");
        }
        if is_preflight {
            fields.extend_from(&self.preflight);
        } else if !self.expose.is_empty() {
            fields.append(name::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose);
        }
    }
}

/// What the answer to a preflight depends on.
const PREFLIGHT_VARY: &[u8] =
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

impl Middleware for Cors {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if !is_preflight(exchange) {
            return Flow::Continue;
        }
        let mut response = exchange.respond(StatusCode::NO_CONTENT);
        response.fields.append(name::VARY, PREFLIGHT_VARY);
        Flow::Respond(response)
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let is_preflight = is_preflight(exchange);
        if matches!(self.origins, Origins::Any) {
            // Also unasked, so that a cache may give the answer to any page (Fetch, "CORS protocol
            // and HTTP caches").
            if let Some(response) = exchange.response_mut() {
                self.mark(&mut response.fields, b"*", is_preflight);
            }
            return Flow::Continue;
        }
        if let Some(response) = exchange.response_mut() {
            crate::vary::add(&mut response.fields, b"Origin");
        }
        if exchange.fields().contains(name::ORIGIN) {
            let mut origin = exchange.worker().buffer();
            origin.extend_from_slice(self.listed(exchange));
            if let Some(response) = exchange.response_mut() {
                self.mark(&mut response.fields, &origin, is_preflight);
            }
            exchange.worker().reclaim_buffer(origin);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests;
