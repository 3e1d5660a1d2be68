//! Certificates that come while the process runs, and challenges that are shown meanwhile.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use stead_core::Shared;
use stead_tls::{Chooser, Entry, Issued, Unserved};

use crate::peer::{Authority, Pair, Peer, Pipe, options};

const HOST: &str = "a.example";

fn install(issued: &Issued, host: &str, pair: &Pair) {
    let shared = Shared::default();
    issued.install(host, pair.chain.as_bytes(), pair.key.as_bytes(), &shared).expect("fits");
}

fn issued() -> Arc<Issued> {
    Arc::new(Issued::new([HOST, "b.example", "elsewhere.example"].map(str::to_owned)))
}

/// Of the hosts of a server.
const HOSTS: [&str; 2] = [HOST, "b.example"];

fn why(chooser: &Chooser, name: Option<&str>) -> Option<Unserved> {
    chooser.open(name.map(Into::into)).err()
}

/// Shakes hands; gives the client's certificate of the server.
fn shake(chooser: &Chooser, peer: &Peer, name: &str) -> Pipe {
    let session = chooser.open(Some(name.into())).expect("a session");
    let mut pipe = Pipe::new(peer.connect(name), session);
    pipe.run(1_000).expect("a handshake");
    pipe
}

#[test]
fn a_host_is_pending_until_its_certificate_is_there() {
    let (authority, issued) = (Authority::new(), issued());
    let chooser = Chooser::with_issued(Vec::new(), &issued, HOSTS, false);
    assert_eq!(why(&chooser, Some(HOST)), Some(Unserved::Pending));
    install(&issued, HOST, &authority.sign(&[HOST]));
    let pipe = shake(&chooser, &Peer::new(&authority), HOST);
    assert_eq!(&**pipe.session.entry().name(), "auto");
    assert_eq!(why(&chooser, Some("b.example")), Some(Unserved::Pending));
    // Of another server, of nobody, without a name.
    for name in [Some("elsewhere.example"), Some("c.example"), None] {
        assert_eq!(why(&chooser, name), Some(Unserved::Unknown), "{name:?}");
    }
}

#[test]
fn a_renewed_certificate_is_shown_from_the_next_handshake_on() {
    let (authority, issued) = (Authority::new(), issued());
    let chooser = Chooser::with_issued(Vec::new(), &issued, HOSTS, false);
    let shown = |pipe: &Pipe| pipe.client.peer_certificates().expect("a chain")[0].to_vec();
    install(&issued, HOST, &authority.sign(&[HOST]));
    let first = shown(&shake(&chooser, &Peer::new(&authority), HOST));
    install(&issued, HOST, &authority.sign(&[HOST]));
    assert_ne!(first, shown(&shake(&chooser, &Peer::new(&authority), HOST)));
    // One that does not fit changes nothing.
    let shared = Shared::default();
    assert!(issued.install(HOST, b"nothing", b"nothing", &shared).is_err());
    shake(&chooser, &Peer::new(&authority), HOST);
}

#[test]
fn entries_and_issued_certificates_stand_side_by_side() {
    let (authority, issued) = (Authority::new(), issued());
    let shared = Shared::default();
    let main = options("main", &authority.sign(&["*.example", "b.example"]));
    let main = Arc::new(Entry::load(main, &shared).expect("fits"));
    let chooser = Chooser::with_issued(vec![main], &issued, HOSTS, false);
    install(&issued, HOST, &authority.sign(&[HOST]));
    let chosen = |name: &str| {
        let session = chooser.open(Some(name.into())).expect("a session");
        session.entry().name().to_string()
    };
    assert_eq!(chosen(HOST), "auto", "its own before a wildcard");
    assert_eq!(chosen("b.example"), "main", "the exact name of an entry first");
    assert_eq!(chosen("unknown.org"), "main", "the first entry is the default");

    // SECURITY: a connection for one host carries requests for those that its certificate names.
    let mut pipe = shake(&chooser, &Peer::new(&authority), HOST);
    let facts = pipe.session.take_facts();
    assert!(facts.permits(b"A.example") && !facts.permits(b"b.example"));
}

#[test]
fn a_challenge_is_shown_to_who_asks_for_it_and_carries_nothing() {
    let issued = issued();
    let chooser = Chooser::with_issued(Vec::new(), &issued, HOSTS, false);
    assert!(chooser.prove(HOST).is_none());
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([HOST.to_owned()]).expect("a name");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    let certificate = params.self_signed(&key).expect("signs");
    issued.show_challenge(HOST, certificate.der(), &key.serialize_der()).expect("fits");
    assert!(chooser.prove("b.example").is_none());

    let session = chooser.prove(HOST).expect("a session");
    let mut peer = Peer::new(&Authority::new());
    peer.config.dangerous().set_certificate_verifier(Arc::new(Anything));
    peer.config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut pipe = Pipe::new(peer.connect(HOST), session);
    pipe.run(1_000).expect("a handshake");
    assert!(pipe.session.is_challenge());
    assert_eq!(pipe.client.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(pipe.client.peer_certificates().expect("a chain")[0], *certificate.der());

    // SECURITY: also where the client agrees on nothing in the end, as after a second hello.
    let session = chooser.prove(HOST).expect("a session");
    peer.config.alpn_protocols.clear();
    let mut pipe = Pipe::new(peer.connect(HOST), session);
    pipe.run(1_000).expect("a handshake");
    assert!(pipe.session.is_challenge() && pipe.client.alpn_protocol().is_none());

    issued.forget_challenge(HOST);
    assert!(chooser.prove(HOST).is_none());
    assert_eq!(why(&chooser, Some(HOST)), Some(Unserved::Pending));
}

/// Authorities look at a proof themselves.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
