//! What `tls = "auto"` needs: hosts that an authority can issue certificates for.

use std::net::IpAddr;

use crate::model::{Configuration, Listen, ServerConfig};
use crate::value::Table;
use crate::{Decoder, Diagnostic, Spanned};

/// The reserved name.
pub(crate) const AUTO: &str = "auto";

impl Listen {
    /// Whether it orders certificates.
    pub fn orders_certificates(&self) -> bool {
        auto(self).is_some()
    }
}

impl ServerConfig {
    /// The hosts whose certificates `auto` orders: those that sites name exactly, in lower case and
    /// without a trailing dot, each once.
    pub fn exact_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for host in self.sites.iter().flat_map(|(_, site)| &site.hosts) {
            let name = host.value.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            if why_not(name).is_none() && !hosts.iter().any(|known| known == name) {
                hosts.push(name.to_owned());
            }
        }
        hosts
    }

    /// Whether one of its listeners orders certificates.
    pub fn orders_certificates(&self) -> bool {
        self.listen.iter().any(Listen::orders_certificates)
    }
}

/// Checks servers whose listeners say `auto`, and that `[acme]` is for somebody. `root` is what the
/// configuration was decoded from.
pub(crate) fn check(configuration: &Configuration, root: &Table, decoder: &mut Decoder<'_>) {
    let mut is_used = false;
    for (name, server) in &configuration.servers {
        let used: Vec<_> = server.listen.iter().filter_map(auto).collect();
        let Some(first) = used.first() else { continue };
        is_used = true;
        if server.exact_hosts().is_empty() {
            let message = "`auto` has no host to order a certificate for";
            let help = format!(
                "name hosts: `[server.{}.site.main]` with `hosts = [\"www.example.com\"]`, and \
                 move routes there",
                name.value
            );
            decoder.report(Diagnostic::error(first.span, message).help(help));
        }
        // Another certificate of the same listener may be the one for them.
        let is_alone = |listen: &Listen| auto(listen).is_some() && listen.tls.0.len() == 1;
        if server.listen.iter().any(is_alone) {
            for host in server.sites.iter().flat_map(|(_, site)| &site.hosts) {
                if let Some(why) = why_not(&host.value) {
                    let message = format!("`auto` orders no certificate for this: {why}");
                    let help = "write the hosts one by one, or name a certificate beside it: \
                                `tls = [\"auto\", \"main\"]`";
                    decoder.report(Diagnostic::warning(host.span, message).help(help));
                }
            }
        }
    }
    let acme = &configuration.acme;
    // What every configuration has by default is for nobody in particular.
    let is_filled = acme.email.is_some() || acme.ca.is_some() || acme.eab.is_some();
    if let Some(table) = root.value("acme").filter(|_| is_filled && !is_used)
        && !decoder.has_gaps()
    {
        let message = "no listener orders certificates: `[acme]` is for nobody";
        let help = "write `listen = [{ address = \":443\", tls = \"auto\" }]`, or take it out";
        decoder.report(Diagnostic::warning(table.span, message).help(help));
    }
}

/// Where a listener says `auto`.
fn auto(listen: &Listen) -> Option<&Spanned<String>> {
    listen.tls.0.iter().find(|name| name.value == AUTO)
}

/// Why no certificate is ordered for a host.
fn why_not(host: &str) -> Option<&'static str> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if host.starts_with("*.") {
        Some("a wildcard is proved by DNS alone")
    } else if bare.parse::<IpAddr>().is_ok() {
        Some("an address is no name")
    } else {
        None
    }
}
