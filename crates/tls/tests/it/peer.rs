//! Certificates made for a test, and a client over buffers.

use std::io::{Read, Write};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use stead_core::Shared;
use stead_tls::{Chooser, Clients, Entry, EntryOptions, Outgoing, PemSource, Session, Version};

/// What signs for a test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A chain and a key as PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Pair {
        self.sign_with(names, |_| {})
    }

    pub(crate) fn sign_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

pub(crate) fn options(name: &str, pair: &Pair) -> EntryOptions {
    EntryOptions {
        name: name.into(),
        certificate: PemSource::Bytes(pair.chain.as_bytes().into()),
        key: PemSource::Bytes(pair.key.as_bytes().into()),
        clients: None,
        versions: vec![Version::Tls12, Version::Tls13],
    }
}

pub(crate) fn clients(authority: &Authority, required: bool) -> Clients {
    Clients { ca: PemSource::Bytes(authority.pem().as_bytes().into()), required }
}

pub(crate) fn chooser(entries: impl IntoIterator<Item = EntryOptions>) -> Chooser {
    let shared = Shared::default();
    let entries = entries.into_iter().map(|options| Entry::load(options, &shared).expect("fit"));
    Chooser::new(entries.map(Arc::new).collect(), false).expect("entries")
}

/// How a client connects.
pub(crate) struct Peer {
    pub(crate) config: ClientConfig,
}

impl Peer {
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::with(authority, None, &[&rustls::version::TLS13])
    }

    pub(crate) fn with(
        authority: &Authority,
        own: Option<&Pair>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = authority.pem();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes());
                let chain = chain.map(|one| one.expect("PEM")).collect();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a client's certificate")
            }
            None => builder.with_no_client_auth(),
        };
        Self { config }
    }

    pub(crate) fn connect(&self, name: &str) -> ClientConnection {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        ClientConnection::new(Arc::new(self.config.clone()), name).expect("a client")
    }
}

/// Both ends of one connection.
pub(crate) struct Pipe {
    pub(crate) client: ClientConnection,
    pub(crate) session: Box<Session>,
    /// To the server, not taken yet.
    pub(crate) received: Vec<u8>,
    pub(crate) plain: Vec<u8>,
    pub(crate) out: Outgoing,
    /// Which byte to the server is changed on its way, and how.
    pub(crate) flip: Option<(usize, u8)>,
    answer: Vec<u8>,
}

impl Pipe {
    pub(crate) fn new(client: ClientConnection, session: Box<Session>) -> Self {
        Self {
            client,
            session,
            received: Vec::new(),
            plain: Vec::new(),
            out: Outgoing::default(),
            flip: None,
            answer: Vec::new(),
        }
    }

    /// Moves bytes both ways until nothing moves, `step` bytes at a time to the server.
    pub(crate) fn run(&mut self, step: usize) -> Result<(), String> {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).expect("a vector");
            }
            if let Some((place, change)) = self.flip.take() {
                match sent.get_mut(place) {
                    Some(byte) => *byte ^= change,
                    None => self.flip = Some((place - sent.len(), change)),
                }
            }
            let mut failed = None;
            for piece in sent.chunks(step) {
                self.received.extend_from_slice(piece);
                match self.session.receive(&mut self.received, &mut self.plain, &mut self.out) {
                    Ok(used) => drop(self.received.drain(..used)),
                    Err(broken) => {
                        failed = Some(broken.to_string());
                        break;
                    }
                }
            }
            let answer = self.out.unsent().to_vec();
            self.out.sent(answer.len());
            let mut rest = &answer[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).expect("a slice");
                let told = self.client.process_new_packets().map_err(|error| error.to_string());
                if let Err(told) = told {
                    return Err(failed.map_or_else(|| told.clone(), |why| format!("{why}: {told}")));
                }
                self.take_answer();
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
            if sent.is_empty() && answer.is_empty() {
                return Ok(());
            }
        }
    }

    /// What the client has received.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        self.take_answer();
        std::mem::take(&mut self.answer)
    }

    fn take_answer(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.client.reader().read(&mut buffer) {
            self.answer.extend_from_slice(&buffer[..count]);
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.client.writer().write_all(bytes).expect("a buffer");
    }

    pub(crate) fn seal(&mut self, bytes: &[u8]) {
        self.session.seal(bytes, &mut self.received, &mut self.out).expect("open");
    }
}
