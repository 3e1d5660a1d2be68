//! One connection of a load generator: a socket, in the clear or under TLS 1.3.
//!
//! Whoever holds a channel sees the bytes of HTTP only; what a handshake wants to write is written
//! at once, for it is always less than a send buffer holds. What was agreed is looked at when the
//! handshake ends: TLS 1.3, one cipher suite and one key exchange group, the same for every
//! server, so that no server saves work by agreeing on less.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore};

use crate::certificate::{Certificate, NAME};

/// How channels speak TLS: what they trust, which protocol they offer, whether they resume.
#[derive(Clone, Debug)]
pub struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Whether a handshake may lean on an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    Full,
    /// By a ticket of an earlier connection, of which the first has none.
    Resumed,
}

impl Secure {
    pub fn new(certificate: &Certificate, protocol: &str, handshake: Handshake) -> Result<Secure> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der.clone())?;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![TLS13_AES_256_GCM_SHA384],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        });
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = match handshake {
            Handshake::Full => Resumption::disabled(),
            Handshake::Resumed => Resumption::in_memory_sessions(TICKETS_MAX),
        };
        Ok(Secure { config: Arc::new(config), name: ServerName::try_from(NAME)? })
    }
}

/// One connected socket with what protects it.
pub struct Channel {
    socket: OwnedFd,
    session: Option<Box<ClientConnection>>,
}

/// What one look at a channel brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Came {
    /// The peer ended the stream.
    End,
    /// Nothing for now.
    Nothing,
    /// So many bytes of the buffer.
    Bytes(usize),
}

impl Channel {
    /// Begins to speak on a connected socket: the first bytes of TLS leave at once.
    pub fn open(socket: OwnedFd, secure: Option<&Secure>) -> Result<Channel> {
        let session = secure
            .map(|secure| ClientConnection::new(Arc::clone(&secure.config), secure.name.clone()))
            .transpose()?;
        let mut channel = Channel { socket, session: session.map(Box::new) };
        channel.flush()?;
        Ok(channel)
    }

    /// Sends all of `bytes`; before the end of the handshake they wait for it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(session) = &mut self.session else {
            let sent = send(&self.socket, bytes, SendFlags::NOSIGNAL).context("send a request")?;
            ensure!(sent == bytes.len(), "a request did not fit into the send buffer");
            return Ok(());
        };
        session.writer().write_all(bytes)?;
        self.flush()
    }

    /// Reads once what came, without waiting.
    ///
    /// # Errors
    /// The connection broke, or TLS refuses what came.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Came> {
        if self.session.is_none() {
            return receive(&self.socket, buffer);
        }
        loop {
            let Some(session) = &mut self.session else { return Ok(Came::Nothing) };
            match session.reader().read(buffer) {
                Ok(0) => return Ok(Came::End),
                Ok(came) => return Ok(Came::Bytes(came)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("receive over TLS"),
            }
            let mut records = [0; READ_BYTES];
            let came = match receive(&self.socket, &mut records)? {
                Came::Bytes(came) => came,
                Came::Nothing => return Ok(Came::Nothing),
                Came::End => return Ok(Came::End),
            };
            self.take(&records[..came])?;
        }
    }

    /// Whether bytes may wait here that the socket no longer tells of.
    pub fn holds_bytes(&self) -> bool {
        self.session.is_some()
    }

    /// How the handshake went; none in the clear, or while it lasts.
    pub fn handshake(&self) -> Option<Handshake> {
        match self.session.as_ref()?.handshake_kind()? {
            HandshakeKind::Resumed => Some(Handshake::Resumed),
            HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => Some(Handshake::Full),
        }
    }

    fn take(&mut self, mut records: &[u8]) -> Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let began = session.is_handshaking();
        while !records.is_empty() {
            session.read_tls(&mut records)?;
            session.process_new_packets().context("TLS")?;
        }
        if began && !session.is_handshaking() {
            ensure_agreed(session)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        while session.wants_write() {
            session.write_tls(&mut Direct(&self.socket)).context("send over TLS")?;
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// # Errors
/// Server and client agreed on something else than all others.
fn ensure_agreed(session: &ClientConnection) -> Result<()> {
    let suite = session.negotiated_cipher_suite().context("no cipher suite")?.suite();
    ensure!(suite == TLS13_AES_256_GCM_SHA384.suite(), "the cipher suite is {suite:?}");
    let group = session.negotiated_key_exchange_group().context("no key exchange")?.name();
    ensure!(group == NamedGroup::X25519, "the key exchange is {group:?}");
    if session.alpn_protocol() == Some(b"h2") {
        return Ok(());
    }
    // A server of HTTP/1.1 alone may leave the extension out.
    ensure!(session.alpn_protocol().is_none_or(|name| name == b"http/1.1"), "another protocol");
    Ok(())
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Came> {
    match recv(socket, buffer, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Ok(Came::End),
        Ok((came, _)) => Ok(Came::Bytes(came)),
        Err(Errno::AGAIN) => Ok(Came::Nothing),
        Err(Errno::CONNRESET) => bail!("the server closed a connection by reset"),
        Err(error) => bail!("receive: {error}"),
    }
}

/// Writes records to the socket.
struct Direct<'a>(&'a OwnedFd);

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What [`Channel`] agrees on with every server, in words.
pub const AGREED: &str = "TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, certificate P-256";
/// Tickets kept at once; a connection uses one up and brings new ones.
const TICKETS_MAX: usize = 64;
/// Read at once from the socket; a record may come in several pieces.
const READ_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests;
