//! Tests of channels against a server of rustls in a thread.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::*;
use crate::loader::open_socket;

/// A server that answers each connection's first bytes with `hello` and closes.
fn serve(certificate: &Certificate) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(&certificate.chain).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut secured = Stream::new(&mut session, &mut stream);
            // A client that trusts another certificate goes away.
            if secured.read(&mut [0; 100]).is_ok_and(|came| came > 0) {
                secured.write_all(b"hello").unwrap();
                session.send_close_notify();
                session.write_tls(&mut stream).unwrap();
            }
        }
    });
    address
}

/// All that one connection brings, and how it was opened.
fn ask(address: SocketAddr, secure: &Secure) -> Result<(Vec<u8>, Option<Handshake>)> {
    let mut channel = Channel::open(open_socket(address)?, Some(secure))?;
    channel.send(b"anything")?;
    let (mut all, mut buffer) = (Vec::new(), [0; 64]);
    let start = Instant::now();
    loop {
        match channel.receive(&mut buffer)? {
            Came::Bytes(came) => all.extend_from_slice(&buffer[..came]),
            Came::End => return Ok((all, channel.handshake())),
            Came::Nothing => thread::sleep(Duration::from_millis(1)),
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "no answer");
    }
}

fn certificate(name: &str) -> Certificate {
    let folder = std::env::temp_dir().join(format!("channel-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    Certificate::make(&folder).unwrap()
}

#[test]
fn handshakes_are_full_or_resumed_as_asked() {
    let certificate = certificate("kinds");
    let address = serve(&certificate);
    let secure = |handshake| Secure::new(&certificate, "http/1.1", handshake).unwrap();
    let full = secure(Handshake::Full);
    let expected = |handshake| (b"hello".to_vec(), Some(handshake));
    for _ in 0..3 {
        assert_eq!(ask(address, &full).unwrap(), expected(Handshake::Full));
    }
    let resumed = secure(Handshake::Resumed);
    assert_eq!(ask(address, &resumed).unwrap(), expected(Handshake::Full));
    for _ in 0..3 {
        assert_eq!(ask(address, &resumed).unwrap(), expected(Handshake::Resumed));
    }
}

#[test]
fn another_certificate_is_refused() {
    let address = serve(&certificate("own"));
    let other = Secure::new(&certificate("other"), "http/1.1", Handshake::Full).unwrap();
    assert!(ask(address, &other).is_err());
}
