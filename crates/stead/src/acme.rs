//! `[acme]` and `tls = "auto"`: what is ordered, who proves it, and where it goes.
//!
//! What the configuration says is compiled and checked with everything else; orders begin with the
//! background, after every address was bound.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use stead_acme::{
    Authority, Binding, Certificate, Challenge, ChallengeKind, Front, KeyType, Report, Roots,
    Settings,
};
use stead_config::{Acme, AcmeKey, Address, Configuration, Diagnostic, Diagnostics, ServerConfig};
use stead_core::Process;
use stead_disk::read_regular;
use stead_tls::{Chooser, Entry, Issued};

use crate::background::Task;
use crate::certificates::{days_left, handshakes};
use crate::errors::StartError;
use crate::state;

/// The certificates that a configuration orders.
pub(crate) struct Orders {
    /// What listeners show of them.
    issued: Arc<Issued>,
    hosts: Vec<String>,
    kinds: Vec<ChallengeKind>,
    config: Acme,
    roots: Roots,
    binding: Option<Binding>,
}

impl Orders {
    /// Compiles `[acme]` for the servers whose listeners say `auto`; `None` where none does.
    pub(crate) fn compile(
        configuration: &Configuration,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let config = configuration.acme.clone();
        // Looked at also where nobody orders: it will be used one day.
        let roots = roots(&config, diagnostics);
        let binding = binding(&config, diagnostics);
        let servers = configuration.servers.iter().map(|(_, server)| server);
        let ordering = servers.filter(|server| server.orders_certificates());
        let mut hosts: Vec<String> = ordering.flat_map(ServerConfig::exact_hosts).collect();
        hosts.sort();
        hosts.dedup();
        if hosts.is_empty() {
            return None;
        }
        let issued = Arc::new(Issued::new(hosts.iter().cloned()));
        Some(Self { issued, hosts, kinds: kinds(configuration), config, roots, binding })
    }

    /// What a listener of `server` chooses among, beside `entries`.
    pub(crate) fn chooser(
        &self,
        entries: Vec<Arc<Entry>>,
        server: &ServerConfig,
        speaks_http2: bool,
    ) -> Chooser {
        let hosts = server.exact_hosts();
        let hosts = hosts.iter().map(String::as_str);
        Chooser::with_issued(entries, &self.issued, hosts, speaks_http2)
    }

    /// Installs what is stored, and gives the work of keeping it valid.
    ///
    /// # Errors
    /// There is no place to keep certificates, or it cannot be used.
    pub(crate) fn start(
        self,
        state: Option<&Path>,
        process: &Arc<Process>,
    ) -> Result<(Ordered, Task), StartError> {
        let system = |error| StartError::System("keep certificates".to_owned(), error);
        let Some(state) = state else {
            let message = "there is no directory for them: set `STATE_DIRECTORY`";
            return Err(system(std::io::Error::other(message)));
        };
        state::make(state)
            .map_err(|error| StartError::System(format!("make {}", state.display()), error))?;
        let Self { issued, hosts, kinds, config, roots, binding } = self;
        let settings = Settings {
            folder: state.join("acme"),
            directory: config.directory.0.value,
            email: config.email.map(|email| email.0.value),
            key_type: match config.key_type {
                AcmeKey::P256 => KeyType::P256,
                AcmeKey::P384 => KeyType::P384,
                AcmeKey::Rsa2048 => KeyType::Rsa2048,
            },
            roots,
            binding,
        };
        let listeners =
            Listeners { issued: Arc::clone(&issued), process: Arc::clone(process), kinds };
        let authority = Authority::open(settings, hosts, Arc::new(listeners)).map_err(system)?;
        let orders = authority.clone();
        let task = Task::new("what orders certificates", move || orders.clone().run());
        Ok((Ordered { authority, issued }, task))
    }
}

/// What an authority keeps valid, and what listeners show of it.
pub(crate) struct Ordered {
    authority: Authority,
    issued: Arc<Issued>,
}

impl Ordered {
    /// What `status` tells of every host.
    pub(crate) fn reports(&self) -> Value {
        let reports = self.authority.reports();
        reports.iter().map(|of| report(of, self.issued.entry(&of.host))).collect()
    }
}

fn report(report: &Report, entry: Option<&Arc<Entry>>) -> Value {
    let at = |moment: Option<SystemTime>| {
        let since = moment?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let seconds = i64::try_from(since.as_secs()).ok()?;
        Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
    };
    json!({
        "host": report.host,
        "state": report.condition.as_str(),
        "valid_until": at(report.condition.not_after()),
        "days_left": entry.map(|entry| days_left(entry.not_after())),
        "ends_soon": report.ends_soon,
        "renews_at": at(report.renew_at),
        "next_try_at": at(report.try_at.filter(|_| report.failures > 0)),
        "failures": report.failures,
        "last_error": report.last_error,
        "issued": report.issued,
        "handshakes": entry.map(|entry| handshakes(entry)),
    })
}

/// The running listeners, as an authority's challenges need them.
struct Listeners {
    issued: Arc<Issued>,
    process: Arc<Process>,
    kinds: Vec<ChallengeKind>,
}

impl Front for Listeners {
    fn kinds(&self) -> Vec<ChallengeKind> {
        self.kinds.clone()
    }

    fn show(&self, host: &str, challenge: &Challenge) {
        match challenge {
            Challenge::Http { token, text } => self.process.challenges.show(token, text),
            Challenge::TlsAlpn { certificate, key } => {
                if let Err(error) = self.issued.show_challenge(host, certificate, key) {
                    tracing::error!("what proves {host} cannot be shown: {error}");
                }
            }
        }
    }

    fn forget(&self, host: &str, challenge: &Challenge) {
        match challenge {
            Challenge::Http { token, .. } => self.process.challenges.forget(token),
            Challenge::TlsAlpn { .. } => self.issued.forget_challenge(host),
        }
    }

    fn install(&self, host: &str, certificate: &Certificate) -> Result<(), String> {
        let pem = certificate.pem().as_bytes();
        let installed = self.issued.install(host, pem, pem, &self.process.shared);
        installed.map_err(|problems| {
            let messages: Vec<String> =
                problems.into_iter().map(|problem| problem.message).collect();
            messages.join("; ")
        })
    }
}

/// The ways to prove a host that the listeners of a configuration have: first those on the ports
/// where authorities look, then those on others, which something may lead there.
fn kinds(configuration: &Configuration) -> Vec<ChallengeKind> {
    let listeners = configuration.servers.iter().flat_map(|(_, server)| &server.listen);
    let mut found: Vec<(bool, ChallengeKind)> = Vec::new();
    for listen in listeners {
        let Address::Tcp { port, .. } = listen.address.value else { continue };
        let is_clear = listen.certificates().next().is_none();
        if is_clear {
            found.push((port != 80, ChallengeKind::Http));
        } else if listen.orders_certificates() {
            found.push((port != 443, ChallengeKind::TlsAlpn));
        }
    }
    // A plaintext listener first among equals: that port needs no certificate to be there.
    found.sort_by_key(|(is_elsewhere, kind)| (*is_elsewhere, *kind == ChallengeKind::TlsAlpn));
    let mut kinds = Vec::new();
    for (_, kind) in found {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn roots(config: &Acme, diagnostics: &mut Diagnostics) -> Roots {
    let Some(ca) = &config.ca else { return Roots::default() };
    let help = "name a PEM file with the certificate of the authority";
    let read = read_regular(&ca.value, CA_BYTES_MAX);
    let read = read.map_err(|error| format!("{}: {error}", ca.value.display()));
    let parsed = read.and_then(|pem| {
        Roots::parse(&pem).map_err(|error| format!("{}: {error}", ca.value.display()))
    });
    parsed.unwrap_or_else(|message| {
        diagnostics.push(Diagnostic::error(ca.span, message).help(help));
        Roots::default()
    })
}

/// All the system's roots together have some 200 KiB.
const CA_BYTES_MAX: u64 = 1 << 20;

fn binding(config: &Acme, diagnostics: &mut Diagnostics) -> Option<Binding> {
    let eab = config.eab.as_ref()?;
    let help = "write it as the authority gave it: letters, digits, `-` and `_`";
    let key = eab.key.value.reveal(|path: &Path| {
        let read = read_regular(path, KEY_BYTES_MAX);
        let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
        String::from_utf8(read).map_err(|_| format!("{} is no text", path.display()))
    });
    let parsed = key.and_then(|key| {
        Binding::parse(&eab.kid.value, &key).ok_or_else(|| "the key is no base64url".to_owned())
    });
    match parsed {
        Ok(binding) => Some(binding),
        Err(message) => {
            diagnostics.push(Diagnostic::error(eab.key.span, message).help(help));
            None
        }
    }
}

/// Keys have some 64 characters.
const KEY_BYTES_MAX: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, expected: &[ChallengeKind]) {
        let text = format!(
            "[tls.main]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[server.web]\n\
             listen = [{listen}]\nroute = [{{ path = \"/\", respond = \"ok\" }}]\n\
             [server.web.site.main]\nhosts = [\"a.example\"]\n\
             route = [{{ path = \"/\", respond = \"ok\" }}]\n"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stead.toml");
        std::fs::write(&path, text).expect("writes");
        let checked = crate::check::check(&path);
        let configuration = checked.configuration.expect("it decodes");
        assert_eq!(kinds(&configuration), expected, "{listen}");
    }

    #[test]
    fn the_ports_where_authorities_look_come_first() {
        let auto = |address: &str| format!("{{ address = \"{address}\", tls = \"auto\" }}");
        check(&auto(":443"), &[ChallengeKind::TlsAlpn]);
        check(
            &format!("\":80\", {}", auto(":443")),
            &[ChallengeKind::Http, ChallengeKind::TlsAlpn],
        );
        check(
            &format!("\":8080\", {}", auto(":443")),
            &[ChallengeKind::TlsAlpn, ChallengeKind::Http],
        );
        check(
            &format!("\":8080\", {}", auto(":8443")),
            &[ChallengeKind::Http, ChallengeKind::TlsAlpn],
        );
        check(&format!("\"unix:run/a.sock\", {}", auto(":8443")), &[ChallengeKind::TlsAlpn]);
        let main = "{ address = \":80\", tls = \"main\" }";
        check(&format!("{main}, {}", auto(":8443")), &[ChallengeKind::TlsAlpn]);
    }
}
