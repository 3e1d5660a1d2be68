//! The session of one connection, without input or output: records in, plaintext out; plaintext in,
//! records out. Whoever drives it owns the buffers.
//!
//! While nothing is under way it holds keys and counters, no buffer: rustls' unbuffered connection
//! keeps what it decrypted only until it was taken, and here it is taken at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, ProtocolVersion};
use stead_core::{Protocol, Shown, TlsFacts};
use stead_sys::clock;

use crate::chooser::Chosen;
use crate::client;
use crate::entry::Entry;
use crate::outgoing::Outgoing;

/// One connection's session.
///
/// PERF: all that a resting connection keeps is in this one value, boxed; apart from each other its
/// parts took 150 bytes more.
pub struct Session {
    connection: UnbufferedServerConnection,
    chosen: Arc<Chosen>,
    /// What the client asked for, until the facts have it.
    server_name: Option<Box<str>>,
    /// While the connection rests.
    facts: Option<TlsFacts>,
    is_ended: bool,
    is_counted: bool,
    is_broken: bool,
    purpose: Purpose,
    /// How often in a row records came that held no plaintext.
    silent: u8,
}

/// What a session is for.
#[derive(PartialEq, Eq)]
enum Purpose {
    Requests,
    /// It proves a host, and nothing else.
    Challenge,
}

/// The peer broke a rule, or a record was changed on its way. What is left to send is the alert
/// that says so; after it the connection is closed.
#[derive(Debug)]
pub struct Broken(String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What rustls leaves to the reader of its source.
fn in_words(error: &rustls::Error) -> String {
    let text = error.to_string();
    if text.contains("UnsupportedCertVersion") {
        "the client's certificate is of X.509 version 1: it has to be of version 3".into()
    } else if text.contains("CaUsedAsEndEntity") {
        "the client's certificate is an authority's: one that it signed is needed".into()
    } else {
        text
    }
}

/// Plaintext that is sealed at once: three full records, which with their headers fit into a
/// buffer of 64 KiB.
pub const SEAL_BYTES_MAX: usize = 48 << 10;
/// What a record adds at most: header, explicit nonce, tag, type; with room for one more record.
const RECORD_OVERHEAD: usize = 64;
const RECORD_BYTES: usize = 16 << 10;
/// Bytes of records that may wait for the rest of a handshake message. SECURITY: its 64 KiB may
/// come a byte a record, each with padding.
const FLIGHT_BYTES_MAX: usize = 96 << 10;
/// The same after the handshake, when clients have only 5 bytes to say: a part of a record.
const UNUSED_BYTES_MAX: usize = 32 << 10;
/// Reads in a row that may bring records without plaintext, such as new keys. SECURITY: each wakes
/// a connection that rests and begins its idle time anew.
const SILENT_MAX: u8 = 16;
/// Steps of a session that failed: a flight of some records, the alert, what was decrypted.
const LAST_STEPS_MAX: usize = 64;

impl Session {
    pub(crate) fn new(
        chosen: Arc<Chosen>,
        server_name: Option<Box<str>>,
        speaks_http2: bool,
    ) -> Option<Box<Self>> {
        let live = chosen.entry().live();
        let config = Arc::clone(if speaks_http2 { &live.http2 } else { &live.http1 });
        drop(live);
        let connection = UnbufferedServerConnection::new(config).ok()?;
        Some(Box::new(Self {
            connection,
            chosen,
            server_name,
            facts: None,
            is_ended: false,
            is_counted: false,
            is_broken: false,
            purpose: Purpose::Requests,
            silent: 0,
        }))
    }

    /// SECURITY: said when the session begins, because what the handshake agrees on is what a
    /// second `ClientHello` asks for.
    pub(crate) fn for_challenge(mut self: Box<Self>) -> Box<Self> {
        self.purpose = Purpose::Challenge;
        self
    }

    /// Takes the complete records at the front of `received`, which are decrypted in place; says
    /// how many bytes were used and must not come again. What they held is appended to `plain`,
    /// what must be answered to `out`.
    ///
    /// # Errors
    /// The session cannot go on. `out` holds the alert.
    pub fn receive(
        &mut self,
        received: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Outgoing,
    ) -> Result<usize, Broken> {
        if self.is_broken {
            return Err(Broken("the session is closed".into()));
        }
        let (mut used, before) = (0, plain.len());
        let was_handshaking = self.connection.is_handshaking();
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut received[used..]);
            let mut taken = discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| Broken(error.to_string()))?;
                        plain.extend_from_slice(record.payload);
                        taken += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(_) => {
                    used += discard;
                    break;
                }
                Err(error) => return Err(self.fail(out, in_words(&error))),
            }
            used += taken;
        }
        let unused_max = if was_handshaking { FLIGHT_BYTES_MAX } else { UNUSED_BYTES_MAX };
        if received.len() - used > unused_max {
            return Err(self.fail(out, "a handshake message in too many pieces".into()));
        }
        if !was_handshaking && used > 0 {
            self.silent = if plain.len() > before { 0 } else { self.silent + 1 };
            if self.silent > SILENT_MAX {
                return Err(self.fail(out, "too many records without a byte in them".into()));
            }
        }
        if !self.is_counted && !self.connection.is_handshaking() {
            self.finish(&mut received[used..], out)?;
        }
        Ok(used)
    }

    /// The handshake is done: counts it. `received` as for [`Session::seal`].
    fn finish(&mut self, received: &mut [u8], out: &mut Outgoing) -> Result<(), Broken> {
        // SECURITY: a ticket brings back a certificate that nobody looks at again.
        let certificate = self.connection.peer_certificates().and_then(|chain| chain.first());
        let ends = certificate.and_then(|one| client::facts(one)).map(|facts| facts.not_after);
        if ends.is_some_and(|ends| clock::wall().as_secs() > ends) {
            self.close(received, out);
            return Err(self.fail(out, "the client's certificate has expired".into()));
        }
        self.is_counted = true;
        let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let counts = self.chosen.entry().counts();
        let count = if is_resumed { &counts.resumed } else { &counts.full };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Encrypts all of `plain`, at most [`SEAL_BYTES_MAX`]. `received` is what came and was not
    /// used yet: rustls may have put aside where in it the next message begins.
    ///
    /// # Errors
    /// The session cannot go on: it is closed, or its keys are used up.
    pub fn seal(
        &mut self,
        plain: &[u8],
        received: &mut [u8],
        out: &mut Outgoing,
    ) -> Result<(), Broken> {
        while !self.is_broken {
            match self.connection.process_tls_records(received).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return encrypt(&mut traffic, plain, out);
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(_) => break,
                Err(error) => return Err(self.fail(out, in_words(&error))),
            }
        }
        Err(Broken("the session is closed".into()))
    }

    /// Says that nothing more will be sent: `close_notify`. `received` as for [`Session::seal`].
    pub fn close(&mut self, received: &mut [u8], out: &mut Outgoing) {
        while !self.is_broken {
            match self.connection.process_tls_records(received).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let count = traffic.queue_close_notify(out.room(RECORD_OVERHEAD));
                    return out.fill(count.unwrap_or(0));
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Nothing goes on after an error but what is left to tell the peer.
    fn fail(&mut self, out: &mut Outgoing, why: String) -> Broken {
        self.is_broken = true;
        if !self.is_counted {
            self.is_counted = true;
            self.chosen.entry().counts().failed.fetch_add(1, Ordering::Relaxed);
        }
        // SECURITY: only while something is to be sent, because then it looks at no input, and what
        // it has put aside of the input is not there any more.
        for _ in 0..LAST_STEPS_MAX {
            if !self.connection.wants_write() {
                break;
            }
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                // Plaintext that nobody takes any more goes with its drop.
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Broken(why)
    }

    /// Gives a handshake up that is not done.
    pub fn give_up(&mut self, out: &mut Outgoing, why: &str) -> Broken {
        self.fail(out, why.into())
    }

    /// Whether the handshake is not done yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer said that it will send nothing more (`close_notify`).
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether it was opened to prove a host: it carries no request.
    pub fn is_challenge(&self) -> bool {
        self.purpose == Purpose::Challenge
    }

    /// The entry whose certificate was shown.
    pub fn entry(&self) -> &Arc<Entry> {
        self.chosen.entry()
    }

    /// Keeps these facts while the connection rests.
    pub fn keep(&mut self, facts: TlsFacts) {
        self.facts = Some(facts);
    }

    /// The facts that were kept.
    pub fn kept(&mut self) -> Option<TlsFacts> {
        self.facts.take()
    }

    /// What the handshake agreed on; asked for once, when it is done.
    pub fn take_facts(&mut self) -> TlsFacts {
        let connection = &self.connection;
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let suite = connection.negotiated_cipher_suite();
        let server_name = self.server_name.take();
        TlsFacts {
            is_named: server_name.as_deref().is_some_and(|name| self.chosen.permits(name)),
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            cipher: suite.and_then(|suite| cipher(suite.suite())).unwrap_or("unknown"),
            server_name,
            protocol: match connection.alpn_protocol() {
                Some(b"h2") => Some(Protocol::Http2),
                Some(_) => Some(Protocol::Http1),
                None => None,
            },
            shown: Arc::clone(&self.chosen) as Arc<dyn Shown>,
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client: certificate.and_then(|one| client::facts(one)).map(Arc::new),
        }
    }
}

/// The registered name of a suite that rustls speaks.
fn cipher(suite: rustls::CipherSuite) -> Option<&'static str> {
    use rustls::CipherSuite as Suite;
    Some(match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str()?,
    })
}

fn encrypt<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    plain: &[u8],
    out: &mut Outgoing,
) -> Result<(), Broken> {
    let mut room = plain.len() + (plain.len() / RECORD_BYTES + 2) * RECORD_OVERHEAD;
    loop {
        match traffic.encrypt(plain, out.room(room)) {
            Ok(count) => {
                out.fill(count);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(Broken(error.to_string())),
        }
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Outgoing) {
    // A handshake's flight with a chain seldom exceeds this.
    let mut room = 4 << 10;
    loop {
        match data.encode(out.room(room)) {
            Ok(count) => return out.fill(count),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(_) => return,
        }
    }
}
