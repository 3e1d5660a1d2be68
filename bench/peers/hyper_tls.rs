//! The hyper peer over TLS and HTTP/2: one current-thread runtime, tokio-rustls with aws-lc-rs,
//! mimalloc, fat LTO.
//!
//! Arguments: the port, then `tls CERTIFICATE KEY` or `h2c`. Over TLS the client's choice by ALPN
//! decides between HTTP/1.1 and HTTP/2. `/` answers 13 bytes, every other path 1,000 bytes from
//! memory. Source of the settings: hyper's `http1::Builder` and `http2::Builder`, and rustls'
//! `ServerConfig` (tickets are off unless a producer of them is given).

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (port, tls) = match words[..] {
        [port, "h2c"] => (port, None),
        [port, "tls", certificate, key] => (port, Some(acceptor(certificate, key)?)),
        _ => bail!("arguments: PORT h2c, or PORT tls CERTIFICATE KEY"),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(address, tls))
}

fn acceptor(certificate: &str, key: &str) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let key = PrivateKeyDer::from_pem_file(key).context("the key")?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(address: SocketAddr, tls: Option<TlsAcceptor>) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tls = tls.clone();
        tokio::spawn(async move {
            let Some(tls) = tls else { return many(stream).await };
            // A client that goes away is no fault of the bench.
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                many(stream).await;
            } else {
                one_by_one(stream).await;
            }
        });
    }
}

async fn many(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let connection = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await;
}

async fn one_by_one(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let connection = http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body: &[u8] = if request.uri().path() == "/" { SMALL } else { KILOBYTE };
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

const SMALL: &[u8] = b"Hello, World!";
const KILOBYTE: &[u8] = &[b'x'; 1_000];
/// tokio's own choice of 128 drops connections when many come at once.
const BACKLOG: u32 = 4096;
