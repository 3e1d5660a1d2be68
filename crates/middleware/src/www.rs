//! Sends clients to the name with `www.`, or to the one without.
//!
//! # What
//! `www = "add"` redirects `example.com` to `www.example.com`, `www = "remove"` the other way, with
//! status 308: scheme, port, path, query and the method stay.
//!
//! # Why
//! One name for bookmarks, cookies, caches and search engines.
//!
//! # Example
//! ```toml
//! www = "remove"
//! ```
//!
//! # Limits
//! Never for IP addresses, nor for names without a dot (`localhost`). `add` takes every name that
//! does not begin with `www.`: list it on the site of the one name, and let `hosts` hold both.
//!
//! # RFC
//! RFC 9110 §15.4.9 (308), §7.2 (`Host`).

use std::net::Ipv4Addr;

use stead_config::{Config, Diagnostics, Settings, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Middleware, MiddlewareKind, moved};

/// The kind `www`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("www", build)
    .summary("send clients to the name with `www.`, or to the one without")
    .docs(module_docs!("www.rs"))
    .example(r#"www = "remove""#)
    .settings::<WwwConfig>();

/// Settings of `www`. All apply at start.
#[derive(Config)]
#[config(shorthand = "mode")]
struct WwwConfig {
    /// Which of the two names is the one.
    mode: Mode,
}

/// Which of the two names is the one.
#[derive(Clone, Copy, Config, PartialEq, Eq)]
enum Mode {
    /// The one with `www.`.
    Add,
    /// The one without.
    Remove,
}

struct Www(Mode);

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: WwwConfig = settings.decode()?;
    Ok(Box::new(Www(config.mode)))
}

const PREFIX: &[u8] = b"www.";

/// Whether `www.` before this name makes another one of the same owner.
fn is_of_dns(name: &[u8]) -> bool {
    let without_root = name.strip_suffix(b".").unwrap_or(name);
    let last = without_root.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    without_root.contains(&b'.')
        && !name.starts_with(b"[")
        // What ends in a number is an IPv4 address to browsers, or nothing.
        && !last.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(name).is_ok_and(|name| name.parse::<Ipv4Addr>().is_err())
}

impl Middleware for Www {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let head = exchange.head();
        let (Some(name), Some(host)) = (head.host_name(), head.host()) else {
            return Flow::Continue;
        };
        let has_prefix =
            name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        let (prefix, host): (&[u8], &[u8]) = match self.0 {
            Mode::Add if !has_prefix && is_of_dns(name) => (PREFIX, host),
            Mode::Remove if has_prefix && is_of_dns(&name[PREFIX.len()..]) => {
                (b"", &host[PREFIX.len()..])
            }
            _ => return Flow::Continue,
        };
        let scheme = exchange.scheme().as_str().as_bytes();
        let origin = [scheme, b"://", prefix, host];
        Flow::Respond(moved(exchange, &origin, &[exchange.routed_path()]))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, refusal, text};

    fn check(mode: &str, host: &str, expect: &str) {
        let bench = around(&[&format!("www = '{mode}'")], text("ok"));
        let answer = bench.call("POST", "/a%20b/?c=d", &[("Host", host)]);
        let status = if expect.is_empty() { 200 } else { 308 };
        assert_eq!((answer.status, answer.field("Location").as_str()), (status, expect), "{host}");
    }

    #[test]
    fn names_go_to_the_other_one() {
        check("add", "example.com", "http://www.example.com/a%20b/?c=d");
        check("add", "example.com:8080", "http://www.example.com:8080/a%20b/?c=d");
        check("add", "Example.com.", "http://www.Example.com./a%20b/?c=d");
        check("remove", "www.example.com:8080", "http://example.com:8080/a%20b/?c=d");
        check("remove", "WWW.example.com", "http://example.com/a%20b/?c=d");
        let bench = around(&["www = 'add'"], text("ok")).over_tls();
        assert_eq!(bench.page("/").field("Location"), "https://www.a.example/");
    }

    #[test]
    fn other_names_stay() {
        for host in [
            "www.example.com",
            "localhost",
            "localhost:1",
            "192.0.2.1",
            "192.0.2.1:80",
            "[::1]",
            "[::1]:80",
            "intranet",
            "1.2",
            "intranet.",
        ] {
            check("add", host, "");
        }
        for host in [
            "example.com",
            "www.com",
            "www.localhost",
            "www.1",
            "wwww.example.com",
            "www.192.0.2.1",
        ] {
            check("remove", host, "");
        }
        let bench = around(&["www = 'add'"], text("ok"));
        assert_eq!(bench.call_without_host("/").status, 200);
    }

    #[test]
    fn security_43_the_path_begins_with_one_slash() {
        let bench = around(&["www = 'add'"], text("ok"));
        assert_eq!(bench.page("//evil.com").field("Location"), "http://www.a.example/evil.com");
    }

    #[test]
    fn the_mode_must_be_said() {
        assert_eq!(refusal("www = {}").len(), 1);
        assert_eq!(refusal("www = 'always'").len(), 1);
    }
}
