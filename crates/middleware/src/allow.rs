//! Lets only listed clients in; all others get 403.
//!
//! # What
//! A request whose client is in none of the listed networks is answered 403 (`client_denied`)
//! before anything further in sees it. The client is the peer, or whom a trusted proxy names
//! (`trusted_proxies`).
//!
//! # Why
//! Pages for the office, the monitoring or this machine only.
//!
//! # Example
//! ```toml
//! allow = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "private", "loopback", "unix"]
//! ```
//! Or, with one network a line: `allow = { file = "office.txt" }`.
//!
//! # Limits
//! `private` stands for `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` and `fc00::/7`, `loopback`
//! for `127.0.0.0/8` and `::1`, `unix` for processes that come through a unix socket. IPv4
//! addresses inside IPv6 ones count as IPv4. Finding a client takes time logarithmic in the number
//! of networks. The file has at most 32 MiB and is read at start.
//!
//! # RFC
//! RFC 9110 §15.5.4 (403), RFC 4632 (networks).

use stead_config::{Diagnostics, Settings, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Middleware, MiddlewareKind, Origins, Reason};

use crate::guests::GuestsConfig;

/// The kind `allow`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("allow", build)
    .summary("let only listed networks in")
    .docs(module_docs!("allow.rs"))
    .example(r#"allow = ["10.0.0.0/8", "2001:db8::/32", "loopback"]"#)
    .settings::<GuestsConfig>();

struct Allow(Origins);

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: GuestsConfig = settings.decode()?;
    Ok(Box::new(Allow(config.compile(settings)?)))
}

impl Middleware for Allow {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if self.0.contains(exchange.client()) {
            Flow::Continue
        } else {
            Flow::Respond(exchange.refuse(Reason::ClientDenied))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::testing::{around, refusal, text};

    fn check(settings: &str, client: &str, status: u16) {
        let bench = around(&[settings], text("in"));
        let bench = bench.from_peer((client.parse::<std::net::IpAddr>().unwrap(), 1).into());
        let answer = bench.page("/");
        assert_eq!(answer.status, status, "{settings} {client}");
        let code = if status == 403 { "client_denied" } else { "ok" };
        assert_eq!(answer.reason.code(), code);
        assert_eq!(bench.waits().0, 0, "nothing waits");
    }

    #[test]
    fn only_listed_clients_are_let_in() {
        let settings = "allow = ['10.0.0.0/8', '2001:db8::/32', 'loopback']";
        check(settings, "10.1.2.3", 200);
        check(settings, "2001:db8::1", 200);
        check(settings, "::1", 200);
        check(settings, "11.0.0.0", 403);
        check(settings, "2001:db9::", 403);
    }

    #[test]
    fn ten_thousand_networks_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut lines = "# blocked\n\n 192.0.2.1 # one\nprivate\r\n".to_owned();
        for n in 0..10_000_u32 {
            let _ = writeln!(lines, "{}.{}.{}.0/24", 20 + n / 65_536, n / 256, n % 256);
        }
        std::fs::write(file.path(), lines).unwrap();
        let allow = format!("allow = {{ file = '{}' }}", file.path().display());
        check(&allow, "20.39.15.255", 200);
        check(&allow, "192.168.0.1", 200);
        check(&allow, "192.0.2.1", 200);
        check(&allow, "20.40.0.0", 403);
        let deny =
            format!("deny = {{ clients = ['1.1.1.1'], file = '{}' }}", file.path().display());
        check(&deny, "20.39.15.255", 403);
        check(&deny, "1.1.1.1", 403);
        check(&deny, "20.40.0.0", 200);
    }

    #[test]
    fn every_wrong_line_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "10.0.0.1/8\n10.0.0.0/8\nsome.host\n").unwrap();
        let wrong = refusal(&format!("allow = {{ file = '{}' }}", file.path().display()));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].ends_with(
            ":1: `10.0.0.1/8` is not a network: the address has bits beyond the prefix"
        ));
        assert!(wrong[1].contains(":3: `some.host`"), "{wrong:?}");
        std::fs::write(file.path(), "x\n".repeat(50)).unwrap();
        let wrong = refusal(&format!("deny = {{ file = '{}' }}", file.path().display()));
        assert_eq!(wrong.len(), 21, "{wrong:?}");
    }

    #[test]
    fn a_list_of_nobody_and_a_missing_file_are_wrong() {
        assert_eq!(refusal("allow = []"), ["`allow` lists nobody"]);
        assert_eq!(refusal("deny = {}"), ["`deny` lists nobody"]);
        assert_eq!(refusal("deny = { file = '/nowhere/at/all' }").len(), 1);
        assert_eq!(refusal("allow = ['10.0.0.0']").len(), 0);
        assert_eq!(refusal("allow = ['10.0.0.1/8', 'privat']").len(), 2);
    }
}
