//! One `[tls.NAME]`: a certificate with its key, who must show one in turn, and its tickets.
//!
//! What handshakes use is one immutable value that is swapped whole when the files change, so that
//! workers never see half of a change. Whatever is wrong with new files, the old certificate stays.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::aws_lc_rs::digest;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use stead_core::Shared;
use stead_disk::read_regular;
use stead_sys::clock;

use crate::certificate::{self, Certificate};
use crate::names::Names;
use crate::problem::{Part, Problem};
use crate::tickets::{TicketKeys, Tickets};
use crate::watch::Identity;

/// What an entry is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryOptions {
    /// Its name.
    pub name: String,
    /// The chain, the server's own certificate first.
    pub certificate: PemSource,
    /// The key of the first certificate.
    pub key: PemSource,
    /// Who must show a certificate.
    pub clients: Option<Clients>,
    /// The versions that are spoken, at least one.
    pub versions: Vec<Version>,
}

impl EntryOptions {
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let ca = self.clients.as_ref().map(|clients| &clients.ca);
        [Some(&self.certificate), Some(&self.key), ca].into_iter().flatten().filter_map(|source| {
            match source {
                PemSource::File(path) => Some(path.as_path()),
                PemSource::Bytes(_) => None,
            }
        })
    }
}

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// Bytes.
    Bytes(Pem),
}

/// PEM as bytes; never printed.
pub type Pem = Arc<[u8]>;

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes(_) => f.write_str("PEM"),
        }
    }
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// The certificates that sign theirs.
    pub ca: PemSource,
    /// Whether nobody else is served.
    pub required: bool,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Handshakes since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Done from the beginning.
    pub full: AtomicU64,
    /// With an earlier session.
    pub resumed: AtomicU64,
    /// Not done.
    pub failed: AtomicU64,
    /// New files that could not be used.
    pub reloads_failed: AtomicU64,
}

/// One `[tls.NAME]`, shared by all workers.
pub struct Entry {
    name: Arc<str>,
    options: EntryOptions,
    provider: Arc<CryptoProvider>,
    keys: Arc<crate::tickets::Keys>,
    live: ArcSwap<Live>,
    counts: Counts,
}

/// What handshakes use.
pub(crate) struct Live {
    /// With ALPN `http/1.1`.
    pub(crate) http1: Arc<ServerConfig>,
    /// With ALPN `h2` and `http/1.1`.
    pub(crate) http2: Arc<ServerConfig>,
    pub(crate) names: Names,
    pub(crate) policy: Policy,
    /// The files that it was read from, as they were before.
    pub(crate) files: Identity,
    not_after: u64,
    is_alone: bool,
}

/// Whom an entry serves, as far as certificates tell: a digest, or none for everybody.
pub(crate) type Policy = Option<[u8; 32]>;

impl Entry {
    /// Reads the files and makes an entry of them. Its ticket keys are those that an entry of this
    /// name had before.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(options: EntryOptions, shared: &Shared) -> Result<Self, Vec<Problem>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let keys = shared.value::<TicketKeys>().of(&options.name);
        let live = Live::load(&options, &provider, &keys)?;
        Ok(Self {
            name: options.name.as_str().into(),
            options,
            provider,
            keys,
            live: ArcSwap::from_pointee(live),
            counts: Counts::default(),
        })
    }

    /// What proves a host to an authority that asks for it by `acme-tls/1` (RFC 8737 §3), and
    /// serves nobody. Its certificate is not looked at: an extension of it must not be understood.
    ///
    /// # Errors
    /// The key cannot be used.
    pub(crate) fn challenge(certificate: &[u8], key: &[u8]) -> Result<Self, rustls::Error> {
        let options = EntryOptions {
            name: "challenge".to_owned(),
            certificate: PemSource::Bytes(Pem::default()),
            key: PemSource::Bytes(Pem::default()),
            clients: None,
            versions: vec![Version::Tls12, Version::Tls13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(key.to_vec()).into();
        let key = provider.key_provider.load_private_key(key)?;
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![CHALLENGE_PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        let live = Live {
            http1: Arc::clone(&config),
            http2: config,
            names: Names::default(),
            policy: None,
            files: Identity::default(),
            not_after: 0,
            is_alone: false,
        };
        Ok(Self {
            name: options.name.as_str().into(),
            options,
            provider,
            keys: Arc::default(),
            live: ArcSwap::from_pointee(live),
            counts: Counts::default(),
        })
    }

    /// Reads the files again. On an error nothing changes.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn reload(&self) -> Result<(), Vec<Problem>> {
        let live = Live::load(&self.options, &self.provider, &self.keys)?;
        self.live.store(Arc::new(live));
        Ok(())
    }

    /// Puts another chain and key in place of those that are shown.
    ///
    /// # Errors
    /// Everything that is wrong with them; then nothing changes.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), Vec<Problem>> {
        let options = EntryOptions {
            certificate: PemSource::Bytes(certificate.into()),
            key: PemSource::Bytes(key.into()),
            ..self.options.clone()
        };
        self.live.store(Arc::new(Live::load(&options, &self.provider, &self.keys)?));
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The names that its certificate is good for.
    pub fn names(&self) -> Vec<String> {
        self.live().names.iter().collect()
    }

    /// When its certificate ends, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.live().not_after
    }

    /// Whether the certificate that signed its own is missing, so that most clients cannot verify
    /// it.
    pub fn is_alone(&self) -> bool {
        self.live().is_alone
    }

    /// Whether its certificate is good for a host: a name, an address, or `*.example.com` for the
    /// names below.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let any = host.strip_prefix('*').filter(|below| below.starts_with('.'));
        match any {
            Some(below) => self.live().names.has_wildcard_of(&format!("any{below}")),
            None => self.live().names.cover(host),
        }
    }

    /// Whether its certificate ends within [`crate::Watch::ANNOUNCED_BEFORE`], or has ended.
    pub fn ends_soon(&self, wall_s: u64) -> bool {
        self.not_after().saturating_sub(wall_s) <= crate::Watch::ANNOUNCED_BEFORE.as_secs()
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Its files as they are now.
    pub(crate) fn files(&self) -> Identity {
        Identity::of(&self.options)
    }

    pub(crate) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// Counts a new file that could not be used.
    pub(crate) fn reload_failed(&self) {
        self.counts.reloads_failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{}", self.name)
    }
}

impl Live {
    fn load(
        options: &EntryOptions,
        provider: &Arc<CryptoProvider>,
        keys: &Arc<crate::tickets::Keys>,
    ) -> Result<Self, Vec<Problem>> {
        // First: a change while they are read is seen as one afterwards.
        let files = Identity::of(options);
        let mut problems = Vec::new();
        let chain = read(&options.certificate, Part::Certificate, &mut problems);
        let key = read(&options.key, Part::Key, &mut problems);
        let ca = options.clients.as_ref().map(|clients| {
            let pem = read(&clients.ca, Part::Clients, &mut problems);
            (clients, pem)
        });
        let certificate = match (chain, key) {
            (Some(chain), Some(key)) => {
                let wall = clock::wall().as_secs();
                let parsed = Certificate::parse(&chain, &key, provider, wall);
                parsed.map_err(|found| problems.extend(found)).ok()
            }
            _ => None,
        };
        let clients = match ca {
            Some((clients, Some(pem))) => {
                Some(Verifier::new(clients, &pem, provider, &mut problems))
            }
            Some((_, None)) => return Err(problems),
            None => None,
        };
        let (Some(certificate), true) = (certificate, problems.is_empty()) else {
            return Err(problems);
        };
        let policy = clients.as_ref().map(|verifier| verifier.policy);
        let verifier = clients.and_then(|verifier| verifier.verifier);
        let tickets = Tickets::new(Arc::clone(keys), &options.name, &policy.unwrap_or_default());
        let config = server_config(options, provider, &certificate, verifier, tickets);
        let Ok(http1) = config else {
            let message = "none of the versions can be spoken with this certificate";
            let help = "write `versions = [\"1.2\", \"1.3\"]`";
            return Err(vec![Problem::new(Part::Certificate, message, help)]);
        };
        let mut http2 = http1.clone();
        http2.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self {
            http1: Arc::new(http1),
            http2: Arc::new(http2),
            names: certificate.names,
            policy,
            files,
            not_after: certificate.not_after,
            is_alone: certificate.is_alone,
        })
    }
}

/// RFC 8737 §6.2.
const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

fn server_config(
    options: &EntryOptions,
    provider: &Arc<CryptoProvider>,
    certificate: &Certificate,
    verifier: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
    tickets: Tickets,
) -> Result<ServerConfig, rustls::Error> {
    let versions: Vec<_> = options
        .versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    let builder = builder.with_protocol_versions(&versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let shown = SingleCertAndKey::from(Arc::clone(&certificate.key));
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets hold what there is to remember, so that a worker needs no table.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(tickets);
    // PERF: each costs an encryption and 250 bytes on the wire. A resumed session brings the next.
    config.send_tls13_tickets = TICKETS;
    // SECURITY: early data can be replayed.
    config.max_early_data_size = 0;
    Ok(config)
}

/// Tickets after a TLS 1.3 handshake.
const TICKETS: usize = 1;

/// What checks the certificates of clients.
struct Verifier {
    verifier: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
    policy: [u8; 32],
}

impl Verifier {
    fn new(
        clients: &Clients,
        pem: &[u8],
        provider: &Arc<CryptoProvider>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[u8::from(clients.required)]);
        context.update(pem);
        let mut policy = [0; 32];
        policy.copy_from_slice(context.finish().as_ref());
        let Some(roots) = certificate::roots(pem, problems) else {
            return Self { verifier: None, policy };
        };
        let provider = Arc::clone(provider);
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| {
            let help = "name the file with the certificates that sign those of clients";
            problems.push(Problem::new(Part::Clients, error.to_string(), help));
        });
        Self { verifier: verifier.ok(), policy }
    }
}

fn read(source: &PemSource, part: Part, problems: &mut Vec<Problem>) -> Option<Pem> {
    match source {
        PemSource::Bytes(pem) => Some(Arc::clone(pem)),
        PemSource::File(path) => match read_regular(path, FILE_BYTES_MAX) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "name a file that is there",
                    io::ErrorKind::PermissionDenied => "let Stead's user read it",
                    _ => "name a file of PEM",
                };
                let message = format!("{}: {error}", path.display());
                problems.push(Problem::new(part, message, help));
                None
            }
        },
    }
}

/// Of one file of PEM; all the system's roots together have some 200 KiB.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
