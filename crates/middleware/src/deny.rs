//! Keeps listed clients out with 403.
//!
//! # What
//! A request whose client is in one of the listed networks is answered 403 (`client_denied`)
//! before anything further in sees it. The client is the peer, or whom a trusted proxy names
//! (`trusted_proxies`).
//!
//! # Why
//! Addresses that do harm, from one's own experience or from a list that others keep.
//!
//! # Example
//! ```toml
//! deny = { clients = ["192.0.2.0/24"], file = "blocked.txt" }
//! ```
//! Or only some networks: `deny = ["192.0.2.0/24", "2001:db8::/32"]`.
//!
//! # Limits
//! As for `allow`: the same words, and a file of at most 32 MiB with one network a line, which is
//! read at start. Finding a client takes time logarithmic in the number of networks.
//!
//! # RFC
//! RFC 9110 §15.5.4 (403), RFC 4632 (networks).

use stead_config::{Diagnostics, Settings, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Middleware, MiddlewareKind, Origins, Reason};

use crate::guests::GuestsConfig;

/// The kind `deny`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("deny", build)
    .summary("keep listed networks out")
    .docs(module_docs!("deny.rs"))
    .example(r#"deny = ["192.0.2.0/24", "2001:db8::/32"]"#)
    .settings::<GuestsConfig>();

struct Deny(Origins);

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: GuestsConfig = settings.decode()?;
    Ok(Box::new(Deny(config.compile(settings)?)))
}

impl Middleware for Deny {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if self.0.contains(exchange.client()) {
            Flow::Respond(exchange.refuse(Reason::ClientDenied))
        } else {
            Flow::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, text};

    #[test]
    fn listed_clients_are_kept_out() {
        let check = |client: &str, status| {
            let bench = around(&["deny = ['192.0.2.0/24', '2001:db8::/32', 'unix']"], text("in"));
            let bench = bench.from_peer((client.parse::<std::net::IpAddr>().unwrap(), 1).into());
            assert_eq!(bench.page("/").status, status, "{client}");
        };
        check("192.0.2.1", 403);
        check("2001:db8::1", 403);
        check("192.0.3.1", 200);
        check("::1", 200);
    }
}
