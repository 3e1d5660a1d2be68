//! Takes a prefix off the path, for what is further in.
//!
//! # What
//! `strip_prefix = "/api"` makes `/x` of `/api/x` and `/` of `/api`. Of several prefixes the
//! longest counts. What was taken off is told in the request's `X-Forwarded-Prefix`; other paths
//! stay as they are.
//!
//! # Why
//! Applications and directories that know nothing of the place where they are mounted.
//!
//! # Example
//! ```toml
//! strip_prefix = ["/api", "/api/v1"]
//! ```
//!
//! # Limits
//! A prefix ends where a segment ends: `/api` is never taken off `/apix` or `/api../x`. What a
//! client sent as `X-Forwarded-Prefix` is deleted, unless it came through one of `trusted_proxies`:
//! then ours follows it. The log shows the path that was asked for.
//!
//! # RFC
//! RFC 3986 §3.3 (paths). The field is a convention.

use stead_config::{Config, Diagnostic, Diagnostics, OneOrMany, Settings, Spanned, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Middleware, MiddlewareKind, Reason, name};

use crate::escape;

/// The kind `strip_prefix`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("strip_prefix", build)
    .summary("take a prefix off the path, for what is further in")
    .docs(module_docs!("strip_prefix.rs"))
    .example(r#"strip_prefix = ["/api", "/api/v1"]"#)
    .settings::<StripPrefixConfig>();

/// Settings of `strip_prefix`. All apply at start.
#[derive(Config)]
#[config(shorthand = "prefixes")]
struct StripPrefixConfig {
    /// One prefix or several, each whole segments: `/` first, none at the end.
    prefixes: OneOrMany<Spanned<String>>,
}

struct StripPrefix {
    /// Canonical, the longest first.
    prefixes: Box<[Box<str>]>,
}

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: StripPrefixConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    if config.prefixes.0.is_empty() {
        let error = Diagnostic::error(settings.span(), "there is no prefix");
        wrong.push(error.help("write `strip_prefix = \"/api\"`"));
    }
    let mut prefixes = Vec::new();
    for prefix in &config.prefixes.0 {
        match canonical(prefix) {
            Ok(prefix) => prefixes.push(prefix.into_boxed_str()),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    Ok(Box::new(StripPrefix { prefixes: prefixes.into() }))
}

/// A prefix as paths have it. SECURITY: whole segments only, so that no prefix ends inside a name
/// (SECURITY.md 40).
fn canonical(prefix: &Spanned<String>) -> Result<String, Diagnostic> {
    let error =
        |message: &str, help: String| Err(Diagnostic::error(prefix.span, message).help(help));
    if prefix.chars().all(|character| character == '/') {
        return error("a prefix names at least one segment", "write `/api`".to_owned());
    }
    if !prefix.starts_with('/') {
        return error("a prefix begins with `/`", format!("write `/{}`", prefix.escape_debug()));
    }
    if prefix.ends_with('/') {
        let without = prefix.trim_end_matches('/').escape_debug();
        return error("a prefix ends with a segment", format!("write `{without}`"));
    }
    let (raw, mut path) = (escape::to_ascii(prefix), String::new());
    let has_form = stead_route::canonicalize(raw.as_bytes(), &mut path).is_ok();
    if !has_form || prefix.contains(['?', '#']) || path.ends_with('/') {
        return error("this is no path", "write segments such as `/api`".to_owned());
    }
    Ok(path)
}

impl StripPrefix {
    fn prefix_of(&self, path: &str) -> Option<&str> {
        let takes = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.prefixes.iter().map(|prefix| &**prefix).find(|prefix| takes(prefix))
    }

    fn strip(&self, exchange: &mut Exchange) -> Result<(), Reason> {
        // SECURITY: also where we have nothing to say (SECURITY.md 45).
        if !exchange.peer_is_trusted() && exchange.fields().contains(name::X_FORWARDED_PREFIX) {
            exchange.fields_mut().remove(name::X_FORWARDED_PREFIX);
        }
        let Some(prefix) = self.prefix_of(exchange.path()) else { return Ok(()) };
        let rest = match &exchange.path()[prefix.len()..] {
            "" => "/".to_owned(),
            rest => rest.to_owned(),
        };
        let query = exchange.query().map(<[u8]>::to_vec);
        exchange.rewrite(rest.as_bytes(), query.as_deref())?;
        let mut told = exchange.worker().buffer();
        let outer = exchange.fields().get(name::X_FORWARDED_PREFIX).unwrap_or_default();
        if outer.starts_with(b"/") && outer.iter().all(u8::is_ascii_graphic) {
            told.extend_from_slice(outer.strip_suffix(b"/").unwrap_or(outer));
        }
        told.extend_from_slice(prefix.as_bytes());
        exchange.fields_mut().set(name::X_FORWARDED_PREFIX, &told);
        exchange.worker().reclaim_buffer(told);
        Ok(())
    }
}

impl Middleware for StripPrefix {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        match self.strip(exchange) {
            Ok(()) => Flow::Continue,
            Err(reason) => Flow::Respond(exchange.refuse(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, around, refusal, text};
    use stead_core::{Client, Exchange, Response, Scheme, name};

    /// Path, query and what is told of the prefix.
    fn shown(exchange: &mut Exchange) -> Response {
        let told = exchange.fields().get(name::X_FORWARDED_PREFIX).unwrap_or(b"-");
        let query = exchange.query().unwrap_or(b"-");
        let shown = [exchange.path().as_bytes(), query, told].map(String::from_utf8_lossy);
        let shown = shown.join(" ");
        text(&shown)(exchange)
    }

    fn check(prefixes: &str, uri: &str, expect: &str) {
        let bench = around(&[&format!("strip_prefix = {prefixes}")], shown);
        assert_eq!(bench.page(uri).text(), expect, "{prefixes} {uri}");
    }

    #[test]
    fn a_prefix_is_taken_off() {
        check("'/api'", "/api/x?q=1", "/x q=1 /api");
        check("'/api'", "/api", "/ - /api");
        check("'/api'", "/api/", "/ - /api");
        check("'/a/b c'", "/a/b%20c/d", "/d - /a/b%20c");
        check("'/caf\u{e9}'", "/caf%c3%A9/x", "/x - /caf%C3%A9");
        check("['/api', '/api/v1']", "/api/v1/x", "/x - /api/v1");
        check("['/api', '/api/v1']", "/api/v2/x", "/v2/x - /api");
    }

    #[test]
    fn other_paths_stay() {
        check("'/api'", "/x?q=1", "/x q=1 -");
        check("'/api'", "/API/x", "/API/x - -");
        check("'/api'", "/x/api", "/x/api - -");
    }

    #[test]
    fn security_40_a_prefix_ends_where_a_segment_ends() {
        for path in ["/img../x", "/imgfoo", "/img.", "/img%2Fx", "/imgfoo/img/x"] {
            check("'/img'", path, &format!("{path} - -"));
        }
        check("'/img'", "/img/../x", "/x - -");
        for prefix in ["/img/", "/", "img", "", "/img/..", "/img//", "/a?b", "/%zz", "/a\\b"] {
            assert_eq!(refusal(&format!("strip_prefix = '{prefix}'")).len(), 1, "{prefix}");
        }
        assert_eq!(refusal("strip_prefix = []").len(), 1);
    }

    #[test]
    fn security_45_only_a_trusted_proxy_has_a_prefix_of_its_own() {
        let sent = [("X-Forwarded-Prefix", "/evil")];
        let bench = around(&["strip_prefix = '/api'"], shown);
        assert_eq!(bench.call("GET", "/api/x", &sent).text(), "/x - /api");
        assert_eq!(bench.call("GET", "/x", &sent).text(), "/x - -");
        let trusted = trusting();
        assert_eq!(trusted.call("GET", "/api/x", &sent).text(), "/x - /evil/api");
        assert_eq!(trusted.call("GET", "/x", &sent).text(), "/x - /evil");
        let odd = [("X-Forwarded-Prefix", "evil, /x y")];
        assert_eq!(trusted.call("GET", "/api/x", &odd).text(), "/x - /api");
    }

    /// Behind a proxy that may say what it likes.
    fn trusting() -> Bench {
        Bench::new("/{*rest}", |context| {
            let settings = "strip_prefix = '/api'";
            let stripping = stead_testing::build(crate::KINDS, settings, context)?;
            let handler: Box<dyn stead_core::Handler> = Box::new(Shown);
            Ok((vec![Box::new(Trust) as Box<dyn stead_core::Middleware>, stripping], handler))
        })
        .expect("a bench")
    }

    struct Trust;

    impl stead_core::Middleware for Trust {
        fn request<'a>(&'a self, exchange: &'a mut Exchange) -> stead_core::Flow<'a> {
            exchange.set_client(Client::Unix, Scheme::Https);
            stead_core::Flow::Continue
        }
    }

    struct Shown;

    impl stead_core::Handler for Shown {
        fn call<'a>(&'a self, exchange: &'a mut Exchange) -> stead_core::Reply<'a> {
            stead_core::Reply::Ready(shown(exchange))
        }
    }
}
