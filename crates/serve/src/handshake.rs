//! The TLS handshake of a connection, before its first request.
//!
//! No state of TLS exists before the first byte, nor before the `ClientHello` is whole: it is read
//! by our own parser, which finds the name that is asked for; then the same bytes go to the session
//! of the entry that was chosen. All of it has `timeouts.tls_handshake`. What goes wrong is counted
//! and said at level `debug`; the peer gets an alert.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use stead_base::{Reason, Tick};
use stead_core::TlsFacts;
use stead_preamble::{ClientHello, HelloError, HelloReader};
use stead_tls::{Broken, Chooser, Outgoing, Session, Unserved};

use crate::secure::Secure;
use crate::stalled::Stall;
use crate::wire::Wire;

/// How a handshake ends that comes to nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    /// What the log says of it.
    pub(crate) why: String,
}

/// Shakes hands on a connection whose first bytes may be in the wire's input already; afterwards
/// the wire is encrypted, and its input is what the peer sent with the last of them.
///
/// # Errors
/// Why there is no session. What came is in the input again.
pub(crate) async fn shake_hands(
    wire: &mut Wire,
    chooser: &Chooser,
) -> Result<Rc<TlsFacts>, Failed> {
    let limit = wire.timeouts().tls_handshake;
    let mut hands = Hands {
        ends: limit.map(|limit| wire.state.worker.now() + limit),
        stall: None,
        received: wire.take_input(),
        out: Outgoing::default(),
        wire,
    };
    let result = hands.shake(chooser).await;
    let Hands { wire, mut received, mut out, .. } = hands;
    match result {
        Ok((mut session, plain)) => {
            let facts = Rc::new(session.take_facts());
            wire.put_input(plain);
            wire.transport.encrypt(Secure::new(session, Rc::clone(&facts), received, out));
            Ok(facts)
        }
        Err(failed) => {
            wire.state.worker.reclaim_buffer(out.take());
            if failed.reason != Reason::PlainHttp {
                received.clear();
            }
            wire.put_input(received);
            Err(failed)
        }
    }
}

struct Hands<'a> {
    wire: &'a mut Wire,
    /// Records that came and were not used.
    received: Vec<u8>,
    out: Outgoing,
    ends: Option<Tick>,
    /// Once it had to be waited for.
    stall: Option<Stall>,
}

/// What authorities ask for hosts by.
const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";
/// Of alerts (RFC 8446 §6, RFC 6066 §3).
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;

/// Room for what a client sends at once.
const READ_BYTES: usize = 4 << 10;

impl Hands<'_> {
    /// The session, and plaintext that came with the last of the handshake.
    async fn shake(&mut self, chooser: &Chooser) -> Result<(Box<Session>, Vec<u8>), Failed> {
        let hello = self.hello().await?;
        let mut session = self.open(chooser, hello)?;
        let mut plain = self.wire.state.worker.buffer();
        self.out.lend(|| self.wire.state.worker.buffer());
        loop {
            match session.receive(&mut self.received, &mut plain, &mut self.out) {
                Ok(used) => drop(self.received.drain(..used)),
                Err(broken) => return Err(self.tell(&broken)),
            }
            if !session.is_handshaking() {
                if session.is_challenge() {
                    return Err(self.proved(&mut session));
                }
                return Ok((session, plain));
            }
            let sent = self.flush().await;
            let moved = if sent.is_ok() { self.read().await } else { sent };
            if let Err(error) = moved {
                // Counted with the entry, too.
                let _ = session.give_up(&mut self.out, &error.why);
                return Err(error);
            }
        }
    }

    /// The session that the first message asks for, which is in the input still.
    fn open(&mut self, chooser: &Chooser, hello: ClientHello) -> Result<Box<Session>, Failed> {
        let is_asked = |_: &&str| hello.protocols.contains(CHALLENGE_PROTOCOL);
        let asked = hello.server_name.as_deref().filter(is_asked);
        if let Some(session) = asked.and_then(|name| chooser.prove(name)) {
            return Ok(session);
        }
        chooser.open(hello.server_name).map_err(|unserved| {
            let (reason, description, why) = match unserved {
                Unserved::Unusable => {
                    let why = "the configuration of this certificate cannot be used";
                    (Reason::TlsHandshakeFailed, INTERNAL_ERROR, why)
                }
                Unserved::Pending => {
                    let why = "the certificate is not issued yet";
                    (Reason::CertificatePending, INTERNAL_ERROR, why)
                }
                Unserved::Unknown => {
                    let why = "no certificate is for this name";
                    (Reason::UnknownServerName, UNRECOGNIZED_NAME, why)
                }
            };
            self.alert(description);
            Failed { reason, why: why.to_owned() }
        })
    }

    /// Says goodbye to an authority, which has seen what it wanted (RFC 8737 §3).
    fn proved(&mut self, session: &mut Session) -> Failed {
        session.close(&mut self.received, &mut self.out);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_flush(&mut context);
        Failed { reason: Reason::AcmeChallenge, why: "a host was proved".to_owned() }
    }

    /// The first message, whole.
    async fn hello(&mut self) -> Result<ClientHello, Failed> {
        let mut reader = HelloReader::default();
        loop {
            match reader.parse(&self.received) {
                Ok(Some(hello)) => return Ok(hello),
                Ok(None) => self.read().await?,
                Err(error) => {
                    self.refuse(error);
                    return Err(Failed { reason: error.reason(), why: error.to_string() });
                }
            }
        }
    }

    /// Reads on.
    async fn read(&mut self) -> Result<(), Failed> {
        poll_fn(|context| {
            self.received.reserve(READ_BYTES);
            match self.wire.transport.socket.poll_read(context, &mut self.received) {
                Poll::Ready(Ok(1..)) => Poll::Ready(Ok(())),
                Poll::Ready(Ok(0)) => Poll::Ready(Err(failed("the peer closed"))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error))),
                Poll::Pending => self.poll_over(context),
            }
        })
        .await
    }

    /// Sends what is to be sent.
    async fn flush(&mut self) -> Result<(), Failed> {
        poll_fn(|context| match self.poll_flush(context) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(failed)),
            Poll::Pending => self.poll_over(context),
        })
        .await
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let socket = &mut self.wire.transport.socket;
            let count = ready!(socket.poll_write(context, self.out.unsent(), false))?;
            self.out.sent(count);
        }
        Poll::Ready(Ok(()))
    }

    /// The peer keeps us waiting: whether for too long.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        if self.wire.drains_new() {
            return Poll::Ready(Err(Failed { reason: Reason::Drained, why: String::new() }));
        }
        let Some(ends) = self.ends else { return Poll::Pending };
        if self.wire.state.worker.now() >= ends {
            let why = "it took longer than timeouts.tls_handshake".to_owned();
            return Poll::Ready(Err(Failed { reason: Reason::TlsHandshakeTimeout, why }));
        }
        let state = &self.wire.state;
        if self.wire.timeouts().tls_handshake.is_some_and(|limit| state.gives_up_begun(limit, ends))
        {
            let why = "it took longer than 2 s while memory was short".to_owned();
            return Poll::Ready(Err(Failed { reason: Reason::BeginStalled, why }));
        }
        Stall::note(&mut self.stall, state, context.waker());
        self.wire.arm_until(context, ends);
        Poll::Pending
    }

    /// Sends the alert of a session that ended, as far as that goes without waiting.
    fn tell(&mut self, broken: &Broken) -> Failed {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_flush(&mut context);
        failed(broken)
    }

    /// Sends a fatal alert before there is a session (RFC 8446 §6).
    fn refuse(&mut self, error: HelloError) {
        if let Some(description) = error.alert() {
            self.alert(description);
        }
    }

    /// Sends a fatal alert before there is a session.
    fn alert(&mut self, description: u8) {
        let alert = [21, 3, 3, 0, 2, 2, description];
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = self.wire.transport.socket.poll_write(&mut context, &alert, false);
    }
}

#[allow(clippy::needless_pass_by_value, reason = "errors are passed on by `map_err`")]
fn failed(why: impl fmt::Display) -> Failed {
    Failed { reason: Reason::TlsHandshakeFailed, why: why.to_string() }
}
