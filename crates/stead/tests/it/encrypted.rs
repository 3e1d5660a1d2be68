//! TLS in front of an axum router: no line of its own but the certificate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::routing::get;
use axum::{Extension, Router};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use stead::{Server, StartError, Stead, Tls};

fn certificate() -> (Vec<u8>, String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signs");
    (certificate.der().to_vec(), certificate.pem(), key.serialize_pem())
}

/// A client that signs itself: its certificate, twice, and its key.
fn client() -> (Vec<u8>, String, String) {
    use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Alice");
    params.distinguished_name.push(DnType::OrganizationName, "Office, Inc");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key).expect("signs");
    (certificate.der().to_vec(), certificate.pem(), key.serialize_pem())
}

/// A certificate with its key, as a client shows it.
type Shown = Option<(Vec<u8>, String)>;

/// One GET over TLS: all that comes back.
fn fetch(socket: TcpStream, root: Vec<u8>, shown: Shown) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root)).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match shown {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            config.with_client_auth_cert(vec![certificate.into()], key).expect("a pair")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(client, socket);
    let request = b"GET /scheme HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut answer = String::new();
    // An end that was not announced would be an error.
    stream.read_to_string(&mut answer).expect("received");
    answer
}

#[tokio::test]
async fn a_router_is_served_over_tls() {
    let (root, certificate, key) = certificate();
    let app = Router::new().route(
        "/scheme",
        get(|request: Request| async move {
            let info = request.extensions().get::<stead::ConnectInfo>().expect("it is there");
            info.scheme.as_str()
        }),
    );
    let running = Stead::new()
        .server(
            Server::new("web").listen("127.0.0.1:0").tls(Tls::pem(certificate, key)).service(app),
        )
        .start()
        .await
        .expect("it starts");
    let socket = TcpStream::connect(running.addresses("web")[0]).expect("connects");
    assert!(running.listening()[0].url.starts_with("https://"));
    let answer = tokio::task::spawn_blocking(move || fetch(socket, root, None)).await;
    let answer = answer.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("https"), "{answer}");
    running.shutdown().await;
}

#[tokio::test]
async fn a_drain_waits_for_a_first_request_and_its_handshake() {
    let (root, certificate, key) = certificate();
    let app = Router::new().route("/scheme", get(|| async { "served" }));
    let tls = Tls::pem(certificate, key);
    let server = Server::new("web").listen("127.0.0.1:0").tls(tls).service(app);
    let running = Stead::new().server(server).start().await.expect("it starts");
    let address = running.addresses("web")[0];
    let socket = TcpStream::connect(address).expect("connects");
    let answer = tokio::task::spawn_blocking(move || {
        while TcpStream::connect(address).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        fetch(socket, root, None)
    });
    running.shutdown().await;
    let answer = answer.await.expect("no panic");
    assert!(answer.ends_with("served"), "{answer}");
}

#[tokio::test]
async fn a_handler_learns_whose_certificate_was_shown() {
    let (root, certificate, key) = certificate();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("clients.pem");
    let (own, own_pem, own_key) = client();
    std::fs::write(&ca, own_pem).expect("written");
    let whose = |client: Option<Extension<Arc<stead::ClientCertificate>>>| async move {
        client.map_or_else(|| "nobody".to_owned(), |client| client.subject.to_string())
    };
    let tls = Tls::pem(certificate, key).clients(ca);
    let app = Router::new().route("/scheme", get(whose));
    let running = Stead::new()
        .server(Server::new("web").listen("127.0.0.1:0").tls(tls).service(app))
        .start()
        .await
        .expect("it starts");
    let socket = TcpStream::connect(running.addresses("web")[0]).expect("connects");
    let shown = Some((own, own_key));
    let answer = tokio::task::spawn_blocking(move || fetch(socket, root, shown)).await;
    let answer = answer.expect("no panic");
    assert!(answer.ends_with("\r\n\r\nCN=Alice, O=Office\\, Inc"), "{answer}");
    running.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_an_error_of_the_start() {
    let (_, certificate, _) = certificate();
    let (_, _, other) = self::certificate();
    let router = Router::new().route("/", get(|| async {}));
    for (tls, expected) in [
        (Tls::pem(certificate, other), "the key does not belong to the certificate"),
        (Tls::files("/nowhere/a.pem", "/nowhere/a.key"), "name a file that is there"),
    ] {
        let server = Server::new("web").listen("127.0.0.1:0").tls(tls).service(router.clone());
        let started = Stead::new().server(server).start().await;
        let Err(StartError::Servers(errors)) = started else { panic!("{expected}") };
        assert!(errors[0].message.contains(expected), "{errors:?}");
    }
}
