//! Sends clients to the path with a slash at its end, or to the one without.
//!
//! # What
//! `trailing_slash = "add"` redirects `/a` to `/a/`, `trailing_slash = "remove"` redirects `/a/` to
//! `/a`, with status 308; the query stays. GET and HEAD only.
//!
//! # Why
//! One address for each page, for links, caches and search engines.
//!
//! # Example
//! ```toml
//! trailing_slash = "remove"
//! ```
//!
//! # Limits
//! `/` stays. `add` leaves a path alone whose last segment holds a dot, as files do. `remove` does
//! not go with directories of `files`, which sends clients to the form with the slash.
//!
//! # RFC
//! RFC 9110 §15.4.9 (308).

use stead_config::{Config, Diagnostics, Settings, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Method, Middleware, MiddlewareKind, moved};

/// The kind `trailing_slash`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("trailing_slash", build)
    .summary("send clients to the path with a slash at its end, or to the one without")
    .docs(module_docs!("trailing_slash.rs"))
    .example(r#"trailing_slash = "remove""#)
    .settings::<TrailingSlashConfig>();

/// Settings of `trailing_slash`. All apply at start.
#[derive(Config)]
#[config(shorthand = "mode")]
struct TrailingSlashConfig {
    /// Which of the two paths is the one.
    mode: Mode,
}

/// Which of the two paths is the one.
#[derive(Clone, Copy, Config, PartialEq, Eq)]
enum Mode {
    /// The one with a slash at its end.
    Add,
    /// The one without.
    Remove,
}

struct TrailingSlash(Mode);

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: TrailingSlashConfig = settings.decode()?;
    Ok(Box::new(TrailingSlash(config.mode)))
}

impl Middleware for TrailingSlash {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let path = exchange.routed_path();
        let ends_in_slash = path.ends_with('/');
        let is_left_alone = match self.0 {
            Mode::Add => ends_in_slash || is_of_file(path),
            Mode::Remove => !ends_in_slash || path == "/",
        };
        if is_left_alone || !matches!(*exchange.method(), Method::GET | Method::HEAD) {
            return Flow::Continue;
        }
        let path = match self.0 {
            Mode::Add => format!("{path}/"),
            // All of them, so that one redirect is enough; of `//` nothing but the root is left.
            Mode::Remove => match path.trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
        };
        Flow::Respond(moved(exchange, &[], &[&path]))
    }
}

fn is_of_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|segment| segment.contains('.'))
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, refusal, text};

    fn check(mode: &str, uri: &str, expect: &str) {
        let bench = around(&[&format!("trailing_slash = '{mode}'")], text("ok"));
        let answer = bench.page(uri);
        let status = if expect.is_empty() { 200 } else { 308 };
        assert_eq!((answer.status, answer.field("Location").as_str()), (status, expect), "{uri}");
        assert_eq!(bench.call("HEAD", uri, &[]).field("Location"), expect);
        assert_eq!(bench.call("POST", uri, &[]).status, 200);
    }

    #[test]
    fn a_slash_is_added() {
        check("add", "/a", "/a/");
        check("add", "/a/b%20c?d=e/f", "/a/b%20c/?d=e/f");
        check("add", "/v1.2/a", "/v1.2/a/");
        for uri in ["/", "/a/", "/a.html", "/a/b.c?d", "/.well-known/x.json"] {
            check("add", uri, "");
        }
    }

    #[test]
    fn slashes_are_removed() {
        check("remove", "/a/", "/a");
        check("remove", "/a//?b=c", "/a?b=c");
        check("remove", "/a.html/", "/a.html");
        check("remove", "//", "/");
        for uri in ["/", "/a", "/a/b?c/", "/?a/"] {
            check("remove", uri, "");
        }
    }

    #[test]
    fn security_43_a_location_stays_on_this_host() {
        check("add", "//evil", "/evil/");
        check("add", "///evil/x", "/evil/x/");
        check("remove", "//evil.com/", "/evil.com");
        check("remove", "//evil.com//?//x", "/evil.com?//x");
    }

    #[test]
    fn the_mode_must_be_said() {
        assert_eq!(refusal("trailing_slash = {}").len(), 1);
        assert_eq!(refusal("trailing_slash = true").len(), 1);
    }
}
