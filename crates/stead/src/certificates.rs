//! `[tls.NAME]` from the configuration to what listeners show: files read, everything wrong with
//! them reported where they are named.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use stead_config::{
    Address, Configuration, Diagnostic, Diagnostics, Host, Listen, ServerConfig, Span, Spanned,
    TlsConfig, TlsVersion,
};
use stead_core::Process;
use stead_sys::clock;
use stead_tls::{
    Chooser, Clients, Entry, EntryOptions, Part, PemSource, SELF_SIGNED, SelfSigned, Unserved,
    Version, Watch,
};

use crate::acme::Orders;
use crate::background::Task;
use crate::bind::Claim;
use crate::state;

/// The certificates of a configuration.
#[derive(Default)]
pub(crate) struct Certificates {
    /// Those of `[tls.NAME]`, and the one that signs itself.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The certificate that signs itself, as long as it is not known whether one is kept.
    self_signed: Option<SelfSigned>,
    /// What authorities issue.
    pub(crate) orders: Option<Orders>,
}

impl Certificates {
    /// Reads every certificate; what is wrong is reported.
    pub(crate) fn load(
        configuration: &Configuration,
        process: &Process,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut entries = Vec::new();
        for (name, config) in &configuration.tls {
            match Entry::load(options(name, config), &process.shared) {
                Ok(entry) => {
                    if entry.is_alone() {
                        let message = "the file holds one certificate, and not its signer's";
                        let help = "name the file with both, often `fullchain.pem`: few clients \
                                    find the other one by themselves";
                        let span = config.certificate.span;
                        diagnostics.push(Diagnostic::warning(span, message).help(help));
                    }
                    entries.push(Arc::new(entry));
                }
                Err(problems) => {
                    for problem in problems {
                        let span = place(config, problem.part).unwrap_or(name.span);
                        let error = Diagnostic::error(span, problem.message);
                        diagnostics.push(error.help(problem.help));
                    }
                }
            }
        }
        let self_signed = self_signed(configuration, process, diagnostics).map(|(made, entry)| {
            entries.push(Arc::new(entry));
            made
        });
        let orders = Orders::compile(configuration, diagnostics);
        let certificates = Self { entries, self_signed, orders };
        for (_, server) in &configuration.servers {
            certificates.warn_of_hosts(server, diagnostics);
            certificates.warn_of_clear(server, configuration, diagnostics);
        }
        certificates
    }

    /// Warns of hosts of sites that no certificate names, where all requests come over TLS: each
    /// would be answered 421.
    fn warn_of_hosts(&self, server: &ServerConfig, diagnostics: &mut Diagnostics) {
        let is_redirected = server.redirect.is_some() && server.trusted_proxies.networks.is_empty();
        let is_encrypted = |listen: &Listen| listen.is_encrypted();
        if !(server.listen.iter().all(is_encrypted)
            || is_redirected && server.listen.iter().any(is_encrypted))
        {
            return;
        }
        let names: Vec<_> = server.listen.iter().flat_map(Listen::certificates).collect();
        // What is ordered has a check of its own; what could not be read was reported.
        let entries: Option<Vec<_>> = names.iter().map(|name| self.named(name)).collect();
        let Some(entries) = entries else { return };
        for host in server.sites.iter().flat_map(|(_, site)| &site.hosts) {
            if !entries.iter().any(|entry| entry.covers(&host.value)) {
                let names: Vec<String> = entries.iter().flat_map(|entry| entry.names()).collect();
                let message = format!("no certificate names `{}`: it is answered 421", host.value);
                let help = format!(
                    "name one that does in the listener's `tls`; there is {}",
                    names.join(", ")
                );
                diagnostics.push(Diagnostic::warning(host.span, message).help(help));
            }
        }
    }

    /// SECURITY: warns of listeners that serve in the clear, to anybody, what stands behind the
    /// certificates of clients on another one.
    fn warn_of_clear(
        &self,
        server: &ServerConfig,
        configuration: &Configuration,
        diagnostics: &mut Diagnostics,
    ) {
        if server.redirect.is_some() {
            return;
        }
        // What stands behind a socket of this machine is its own affair.
        let is_ours = |address: &Address| match address {
            Address::Tcp { host, .. } => match host {
                Host::Any => false,
                Host::Ip(ip) => ip.is_loopback(),
                Host::Localhost => true,
            },
            Address::Unix(_) => true,
        };
        let is_clear = |listen: &&Listen| !listen.is_encrypted() && !is_ours(&listen.address.value);
        let demands = |name: &&Spanned<String>| {
            let entry = configuration.tls.named(&name.value);
            entry.and_then(|entry| entry.clients.as_ref()).is_some_and(|clients| clients.required)
        };
        for name in server.listen.iter().flat_map(Listen::certificates).filter(demands) {
            // What could not be read was reported.
            let Some(host) = self.named(name).and_then(|entry| served(server, &entry)) else {
                continue;
            };
            for listen in server.listen.iter().filter(is_clear) {
                let message = format!("`{host}` is served here in the clear, to anybody");
                let help = "write `redirect = \"https\"` in the server, or give this listener a \
                            server of its own";
                let related = format!("`{}` asks its clients for certificates", name.value);
                let warning = Diagnostic::warning(listen.address.span, message);
                diagnostics.push(warning.help(help).related(name.span, related));
            }
        }
    }

    /// Which certificate who asks `server` for `host` over TLS is shown, in words; `None` where it
    /// speaks none. Listeners on `port` count, if there are any.
    pub(crate) fn explain(
        &self,
        server: &ServerConfig,
        host: &str,
        port: Option<u16>,
    ) -> Option<String> {
        let on_port = |listen: &&Listen| match &listen.address.value {
            Address::Tcp { port: own, .. } => Some(*own) == port,
            Address::Unix(_) => false,
        };
        let encrypted = || server.listen.iter().filter(|listen| listen.is_encrypted());
        let listen = encrypted().find(on_port).or_else(|| encrypted().next())?;
        Some(match self.chooser(server, listen)?.shown(host) {
            Ok((entry, true)) => format!("certificate tls.{}", entry.name()),
            Ok((entry, false)) => {
                format!(
                    "421 misdirected_request: tls.{}, which is shown, is not for it",
                    entry.name()
                )
            }
            Err(Unserved::Pending) => "certificate of `auto`, once it is issued".to_owned(),
            Err(_) => "no certificate is for it: the handshake ends with an alert".to_owned(),
        })
    }

    /// Shows the certificate that signs itself which an earlier process made, or keeps this one.
    pub(crate) fn keep(&self, state: Option<&Path>) {
        let (Some(made), Some(entry)) = (&self.self_signed, self.named(SELF_SIGNED)) else {
            return;
        };
        let kept = match state {
            Some(state) => state::make(state).and_then(|()| made.keep(&entry, state)),
            None => Err(io::Error::other("there is no directory for it: set `STATE_DIRECTORY`")),
        };
        if let Err(error) = kept {
            // It serves as well; only clients have to be told of another one after each start.
            tracing::warn!("the self-signed certificate is not kept: {error}");
        }
    }

    /// What a listener shows; `None` where it speaks in the clear.
    pub(crate) fn chooser(&self, server: &ServerConfig, listen: &Listen) -> Option<Chooser> {
        let entries = listen.certificates().filter_map(|name| self.named(name)).collect();
        let orders = self.orders.as_ref().filter(|_| listen.orders_certificates());
        match orders {
            Some(orders) => Some(orders.chooser(entries, server, listen.http2)),
            None => Chooser::new(entries, listen.http2),
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries.iter().find(|entry| &**entry.name() == name).cloned()
    }
}

/// A host of the certificate that the server has something for.
fn served(server: &ServerConfig, entry: &Entry) -> Option<String> {
    let hosts = server.sites.iter().flat_map(|(_, site)| &site.hosts);
    let host = hosts.map(|host| &host.value).find(|host| entry.covers(host)).cloned();
    // Routes of the server itself serve every host.
    host.or_else(|| entry.names().into_iter().next().filter(|_| !server.routes.is_empty()))
}

/// What reads certificates again and announces those that end; `None` where there are none.
pub(crate) fn watch(entries: &[Arc<Entry>]) -> Option<Task> {
    if entries.is_empty() {
        return None;
    }
    let watch = Arc::new(Mutex::new(Watch::new(entries.to_vec())));
    Some(Task::new("the watch over certificates", move || look(Arc::clone(&watch))))
}

async fn look(watch: Arc<Mutex<Watch>>) {
    loop {
        let watch = Arc::clone(&watch);
        // Looking touches the disk. A look that panicked leaves what the others know.
        let looking = tokio::task::spawn_blocking(move || {
            watch.lock().unwrap_or_else(PoisonError::into_inner).look();
        });
        if let Err(error) = looking.await {
            match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The process ends.
                Err(_) => return,
            }
        }
        tokio::time::sleep(Watch::EVERY).await;
    }
}

/// The certificate that signs itself, for the hosts of the servers that show it; `None` where none
/// does.
fn self_signed(
    configuration: &Configuration,
    process: &Process,
    diagnostics: &mut Diagnostics,
) -> Option<(SelfSigned, Entry)> {
    let used = |listen: &Listen| {
        listen.certificates().find(|name| name.value == SELF_SIGNED).map(|name| name.span)
    };
    let showing =
        |server: &&ServerConfig| server.listen.iter().any(|listen| used(listen).is_some());
    let servers: Vec<&ServerConfig> =
        configuration.servers.iter().map(|(_, server)| server).filter(showing).collect();
    let span = servers.iter().flat_map(|server| &server.listen).find_map(used)?;
    let sites = servers.iter().flat_map(|server| &server.sites);
    let hosts = sites.flat_map(|(_, site)| &site.hosts).map(|host| host.value.clone());
    let made = SelfSigned::make(hosts)
        .and_then(|made| made.entry(&process.shared).map(|entry| (made, entry)));
    made.map_err(|why| {
        let message = format!("no certificate can be made for the hosts of the sites: {why}");
        diagnostics.push(Diagnostic::error(span, message).help("name a certificate of your own"));
    })
    .ok()
}

/// The certificates of servers made in code, each once.
pub(crate) fn of_code(claims: &[Claim]) -> Vec<Arc<Entry>> {
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let choosers = claims.iter().filter_map(|claim| claim.opening.tls.as_ref());
    for entry in choosers.flat_map(Chooser::entries) {
        if !entries.iter().any(|known| Arc::ptr_eq(known, entry)) {
            entries.push(Arc::clone(entry));
        }
    }
    entries
}

/// What `status` tells of every certificate.
pub(crate) fn reports(entries: &[Arc<Entry>]) -> Value {
    entries.iter().map(|entry| report(entry)).collect()
}

fn report(entry: &Entry) -> Value {
    let not_after = entry.not_after();
    let ends = i64::try_from(not_after).ok().and_then(|ends| Timestamp::from_second(ends).ok());
    json!({
        "name": &**entry.name(),
        "names": entry.names(),
        "valid_until": ends.map(|ends| ends.to_string()),
        "days_left": days_left(not_after),
        "ends_soon": entry.ends_soon(clock::wall().as_secs()),
        "handshakes": handshakes(entry),
        "reloads_failed": entry.counts().reloads_failed.load(Relaxed),
    })
}

/// Whole days until `unix_s`.
pub(crate) fn days_left(unix_s: u64) -> u64 {
    unix_s.saturating_sub(clock::wall().as_secs()) / (24 * 3600)
}

/// What was counted of an entry's handshakes.
pub(crate) fn handshakes(entry: &Entry) -> Value {
    let counts = entry.counts();
    json!({
        "full": counts.full.load(Relaxed),
        "resumed": counts.resumed.load(Relaxed),
        "failed": counts.failed.load(Relaxed),
    })
}

/// How many reports are of certificates near their end.
pub(crate) fn ending(reports: &[&Value]) -> usize {
    let reports = reports.iter().filter_map(|reports| reports.as_array()).flatten();
    reports.filter(|report| report["ends_soon"] == true).count()
}

fn options(name: &Spanned<String>, config: &TlsConfig) -> EntryOptions {
    let file = |path: &Spanned<PathBuf>| PemSource::File(path.value.clone());
    let version = |version: &Spanned<TlsVersion>| match version.value {
        TlsVersion::Tls12 => Version::Tls12,
        TlsVersion::Tls13 => Version::Tls13,
    };
    EntryOptions {
        name: name.value.clone(),
        certificate: file(&config.certificate),
        key: file(&config.key),
        clients: config
            .clients
            .as_ref()
            .map(|clients| Clients { ca: file(&clients.ca), required: clients.required }),
        versions: config.versions.iter().map(version).collect(),
    }
}

/// Where the file is named that a problem is of.
fn place(config: &TlsConfig, part: Part) -> Option<Span> {
    match part {
        Part::Certificate => Some(config.certificate.span),
        Part::Key => Some(config.key.span),
        Part::Clients => config.clients.as_ref().map(|clients| clients.ca.span),
    }
}
