//! The HTTP/1.1 shell: one connection as a task, from its first byte until it is quiet again.
//!
//! Per request: the engine finds the head, the router a route, `chain` runs middleware and
//! handler, `answer` writes. Answers to pipelined requests gather in one buffer, which is sent when
//! no complete request is left in the input. A connection that stays quiet for a moment goes back
//! into the park and this task ends.
//!
//! INVARIANT: whatever ends the task, the record in the park goes with it, unless it parks.

mod account;
mod head;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use stead_base::Reason;
use stead_core::{
    Body, Connection as Facts, Exchange, Fields, Level, Peer, Protocol, Response, Scheme,
    StatusCode, Tunnel,
};
use stead_http1::{Form, Framing, RequestDecoder};
use stead_net::{Token, Wait};

use crate::access_log::WorkerLog;
use crate::answer::{self, OUTPUT_MAX};
use crate::chain::{self, Routed};
use crate::events;
use crate::guard::{Panicked, poll_guarded};
use crate::handshake::{Failed, shake_hands};
use crate::http2::{self, Preface};
use crate::linger::linger;
use crate::receive::Receiver;
use crate::snapshot::Server;
use crate::state::State;
use crate::transport::Transport;
use crate::tunnel;
use crate::wire::Wire;
use account::Account;
use head::{Next, QUIET_FOR};

/// Whoever reads this is a person.
const SPEAKS_TLS: &[u8] = b"400 Bad Request\nthis port speaks TLS: write https:// instead\n";

/// Requests answered in one turn, where the peer always has another.
const TURN_REQUESTS: u32 = 64;

/// One connection as a task.
pub(crate) struct Connection {
    state: Rc<State>,
    token: Token,
    peer: Peer,
    server: u16,
    exchange: Exchange,
    /// Requests that this task served.
    requests: u32,
    /// Why the connection is not kept after this exchange, where that is our doing.
    closes: Option<Reason>,
    /// Bytes in and out that earlier exchanges account for.
    traffic: (u64, u64),
    /// When the first byte of a head came that was not there whole at once.
    head_began: Option<Duration>,
    /// What the answer's fields were, for a log that shows some.
    answer_fields: Option<Box<Fields>>,
    /// Why the connection will end, for Stead's own log.
    why: Option<Reason>,
    /// Whether it speaks HTTP/2; unknown until its first bytes.
    http2: Preface,
    /// Whether an exchange is under way.
    is_active: bool,
    /// Whether the record stays in the park when this task ends.
    is_parked: bool,
}

/// What becomes of the connection when its task ends.
enum End {
    Park,
    Linger,
    Close,
    /// The peer speaks HTTP/2.
    Http2,
}

/// What follows an exchange.
enum After {
    Next,
    /// What is in the output buffer is still sent.
    Close,
    /// The same, and the peer is given time to read it.
    Linger,
    /// The peer is gone or too slow: nothing more is sent.
    Cut,
}

impl Connection {
    /// The connection as a task: runs until it is quiet or closed.
    pub(crate) fn task(
        state: Rc<State>,
        token: Token,
        transport: Transport,
        input: Vec<u8>,
    ) -> impl Future<Output = ()> {
        let (peer, listener, requests) = state.park.facts(token).unwrap_or((Peer::Unix, 0, 0));
        let facts = state.listener(listener);
        let (server, opening) = (facts.server, &facts.opening);
        // With TLS it is the handshake that tells.
        let may_be_http2 = opening.http2 && opening.tls.is_none() && requests == 0;
        let is_proxied = !opening.proxy_protocol.is_empty();
        let over_tls = is_proxied && state.park.is_proxied_tls(token);
        let facts = Facts {
            peer,
            scheme: if over_tls { Scheme::Https } else { Scheme::Http },
            tls: None,
            server: Rc::clone(&state.names[usize::from(server)]),
        };
        let limits = &state.server(server).scope.limits;
        let decoder = RequestDecoder::new(limits.head(), limits.body.map(|size| size.0));
        let mut wire = Wire::new(Rc::clone(&state), token, server, transport, input, decoder);
        let mut exchange = Exchange::new(Rc::clone(&state.worker), facts);
        if let Some(secure) = wire.transport.secure() {
            exchange.secure(Rc::clone(secure.facts()));
        }
        let mut connection = Self {
            state,
            token,
            peer,
            server,
            exchange,
            requests: 0,
            closes: None,
            traffic: (0, 0),
            head_began: None,
            answer_fields: None,
            why: None,
            http2: if may_be_http2 { Preface::Perhaps } else { Preface::No },
            is_active: false,
            is_parked: false,
        };
        // PERF: captured and used in place; an `async fn` would hold its arguments twice.
        async move {
            connection.introduce().await;
            let end = match connection.open(&mut wire, listener).await {
                Ok(()) => connection.run(&mut wire).await,
                Err(end) => end,
            };
            match end {
                End::Park => connection.park(wire),
                End::Linger => Box::pin(linger(wire)).await,
                End::Close => wire.release_buffers(),
                // PERF: boxed, so that other tasks have no room for it.
                End::Http2 => Box::pin(connection.serve_http2(wire)).await,
            }
        }
    }

    /// Lets the park know whom to wake, also while nothing has a deadline.
    async fn introduce(&self) {
        poll_fn(|context| {
            self.state.park.introduce(self.token, context.waker());
            Poll::Ready(())
        })
        .await;
    }

    /// What comes before the first request of a new connection.
    ///
    /// # Errors
    /// The connection ends before its first request.
    async fn open(&mut self, wire: &mut Wire, listener: u16) -> Result<(), End> {
        let state = Rc::clone(&self.state);
        let Some(chooser) = &state.listener(listener).opening.tls else { return Ok(()) };
        if wire.transport.is_secure() {
            return Ok(());
        }
        let Failed { reason, why } = match Box::pin(shake_hands(wire, chooser)).await {
            Ok(facts) => {
                if facts.protocol == Some(Protocol::Http2) {
                    self.http2 = Preface::Yes;
                }
                self.exchange.secure(facts);
                return Ok(());
            }
            Err(failed) => failed,
        };
        if reason == Reason::PlainHttp {
            return Err(Box::pin(self.answer_plain(wire)).await);
        }
        self.ends(reason);
        events::handshake_failed(&self.exchange, reason, &why);
        // The alert may be on its way still.
        let is_told = matches!(
            reason,
            Reason::TlsHandshakeFailed
                | Reason::BadClientHello
                | Reason::CertificatePending
                | Reason::AcmeChallenge
                | Reason::UnknownServerName
        );
        Err(if is_told { End::Linger } else { End::Close })
    }

    /// Who speaks plain HTTP is told so in plain HTTP.
    async fn answer_plain(&mut self, wire: &mut Wire) -> End {
        self.refuse(wire, Reason::PlainHttp).await;
        match wire.flush(false).await {
            Ok(()) => End::Linger,
            Err(_) => End::Close,
        }
    }

    /// Serves until the connection is quiet or is to be closed.
    async fn run(&mut self, wire: &mut Wire) -> End {
        let close = loop {
            match self.next_head(wire).await {
                Next::Head => {}
                Next::Quiet => return End::Park,
                Next::Http2 => return End::Http2,
                Next::Close(reason) => {
                    if let Some(reason) = reason {
                        self.ends(reason);
                    }
                    break After::Close;
                }
                Next::Cut(reason) => {
                    self.ends(reason);
                    break After::Cut;
                }
                Next::Refuse(reason) => break Box::pin(self.refuse(wire, reason)).await,
            }
            match self.exchange(wire).await {
                After::Next if wire.output.len() > OUTPUT_MAX => {
                    if let Err(reason) = wire.flush(false).await {
                        self.ends(reason);
                        break After::Cut;
                    }
                }
                After::Next => {}
                close => break close,
            }
            if self.requests.is_multiple_of(TURN_REQUESTS) {
                tokio::task::yield_now().await;
            }
            wire.end_turn().await;
        };
        if matches!(close, After::Cut) {
            // The kernel may hold megabytes for a peer that does not take them.
            wire.transport.reset_on_close();
            return End::Close;
        }
        wire.transport.end_follows();
        match (wire.flush(false).await, close) {
            (Ok(()), After::Linger) => return End::Linger,
            (Ok(()), _) => wire.transport.end(&self.state.worker),
            // That a peer went away without its last answer is no outcome of its own.
            (Err(Reason::ClientClosed), _) => {}
            (Err(reason), _) => self.ends(reason),
        }
        End::Close
    }

    /// Serves the rest of the connection as HTTP/2.
    async fn serve_http2(&mut self, wire: Wire) {
        let (state, facts) = (Rc::clone(&self.state), self.exchange.connection().clone());
        let ended = http2::serve(state, self.token, self.server, facts, wire).await;
        self.requests = ended.requests;
        self.why = ended.why;
        match ended.wire {
            Some(wire) if ended.lingers => linger(wire).await,
            Some(mut wire) => wire.release_buffers(),
            None => {}
        }
    }

    fn park(&mut self, mut wire: Wire) {
        wire.release_buffers();
        self.exchange.release_tls();
        let Some((socket, held)) = wire.into_rest() else { return };
        let idle = self.state.server(self.server).scope.timeouts.idle;
        let limit = idle.map(|idle| idle.saturating_sub(QUIET_FOR));
        self.state.park.count_requests(self.token, self.requests);
        if let Some(descriptor) = socket.into_descriptor() {
            let wait = self.state.at_rest(self.server, Wait::Idle);
            let rested = self.state.park.rest(self.token, descriptor, wait, limit, held);
            self.is_parked = rested.is_ok();
        }
    }

    /// Answers what the engine refused, and closes.
    async fn refuse(&mut self, wire: &mut Wire, reason: Reason) -> After {
        let account = self.open_account();
        if reason.status().is_none() {
            self.ends(reason);
            return After::Close;
        }
        let mut answer = self.exchange.refuse(reason);
        if reason == Reason::PlainHttp {
            answer.body = Body::Bytes(Bytes::from_static(SPEAKS_TLS));
        }
        let status = answer.status;
        let mut receiver = Receiver::new(Framing::None, false);
        let sent = self.answer(wire, &mut receiver, answer, false).await;
        let outcome = sent.as_ref().map_or_else(|cut| *cut, |_| reason);
        let body = sent.map_or_else(|_| wire.body_sent(), |sent| sent.body_bytes);
        self.close_account(wire, account, &Routed::none(), Some(status), outcome, body);
        After::Linger
    }

    /// One request from its head to its answer.
    async fn exchange(&mut self, wire: &mut Wire) -> After {
        let state = Rc::clone(&self.state);
        let server = state.server(self.server);
        let account = self.open_account();
        self.requests = self.requests.saturating_add(1);
        self.set_active(true);
        let head = self.exchange.head();
        let (framing, keep_alive) = (head.framing(), head.keep_alive());
        let mut receiver = Receiver::new(framing, head.expects_continue());
        server.trusted_proxies.introduce(&mut self.exchange);
        let mut routed = chain::route(server, state.router(self.server), &mut self.exchange);
        if chain::sheds(&state, server, &routed, || self.is_first()) {
            return Box::pin(self.shed(wire, account, &routed, framing)).await;
        }
        let scope = server.scope(routed.place);
        wire.enter(routed.place, scope);
        if let Some(reason) = routed.closes {
            return self.abandon(wire, account, &routed, reason);
        }
        if chain::exceeds(scope, framing) {
            routed.answer = Some(self.exchange.refuse(Reason::BodyTooLarge));
        }
        wire.ends_with_peer = routed.route.is_some_and(|route| !route.handler.serves_half_closed());
        if let Some(pipe) = receiver.pipe() {
            self.exchange.set_body(pipe);
        }
        let asked = chain::ask(&state, &mut self.exchange, &mut routed, scope, |context| {
            receiver.poll_beside(wire, context)
        });
        if let Err(reason) = asked.await {
            return self.abandon(wire, account, &routed, reason);
        }
        chain::check(&mut self.exchange, receiver.is_complete());
        // A body that nobody took stays unread.
        drop(self.exchange.take_body());
        receiver.expect_reader(wire);
        let Some(answer) = self.exchange.take_response() else {
            return self.abandon(wire, account, &routed, Reason::HandlerError);
        };
        let (status, reason) = (answer.status, answer.reason);
        let keep = keep_alive && self.keeps(server, &answer, &receiver);
        let sent = {
            let mut answering = pin!(self.answer(wire, &mut receiver, answer, keep));
            poll_fn(|context| match poll_guarded(answering.as_mut(), context) {
                Ok(polled) => polled,
                Err(Panicked) => Poll::Ready(Err(Reason::HandlerPanic)),
            })
            .await
        };
        self.set_active(false);
        let (outcome, body) = match &sent {
            Ok(sent) => (reason, sent.body_bytes),
            Err(cut) => (*cut, wire.body_sent()),
        };
        self.closes = self.closes.filter(|_| sent.is_ok());
        if matches!(sent, Err(Reason::HandlerPanic)) {
            state.worker.counters.panics.add(1);
        }
        self.close_account(wire, account, &routed, Some(status), outcome, body);
        match sent {
            // What a tunnel's other end said last may not have been read yet: no reset.
            Err(Reason::Drained) if status == StatusCode::SWITCHING_PROTOCOLS => After::Close,
            Err(reason) if is_peers_doing(reason) => After::Cut,
            Err(_) => After::Close,
            Ok(sent) if sent.keep && receiver.is_complete() => After::Next,
            Ok(sent) if sent.keep => Box::pin(self.settle_body(wire, &mut receiver)).await,
            // The peer asked for the close and sent nothing more: no reset can follow.
            Ok(_) if !keep_alive && wire.unread().is_empty() && receiver.is_complete() => {
                After::Close
            }
            Ok(_) => After::Linger,
        }
    }

    /// Whether the request under way is the first of its connection.
    fn is_first(&self) -> bool {
        self.requests_so_far() == 1
    }

    /// Requests of the connection, with those of tasks before this one.
    fn requests_so_far(&self) -> u32 {
        let earlier = self.state.park.facts(self.token).map_or(0, |(_, _, requests)| requests);
        earlier.saturating_add(self.requests)
    }

    /// Answers that there is too much to do, and closes.
    async fn shed(
        &mut self,
        wire: &mut Wire,
        account: Account,
        routed: &Routed<'_>,
        framing: Framing,
    ) -> After {
        let reason = Reason::Overloaded;
        let answer = self.exchange.refuse(reason);
        let answer = self.state.server(self.server).scope(routed.place).errors.dress(answer);
        let status = answer.status;
        let mut receiver = Receiver::new(Framing::None, false);
        let sent = self.answer(wire, &mut receiver, answer, false).await;
        self.set_active(false);
        let outcome = sent.as_ref().map_or_else(|cut| *cut, |_| reason);
        let body = sent.map_or_else(|_| wire.body_sent(), |sent| sent.body_bytes);
        self.close_account(wire, account, routed, Some(status), outcome, body);
        // Time to read the answer is given only where more of the request may come.
        if framing == Framing::None && wire.unread().is_empty() {
            After::Close
        } else {
            After::Linger
        }
    }

    /// Ends an exchange without an answer.
    fn abandon(
        &mut self,
        wire: &Wire,
        account: Account,
        routed: &Routed<'_>,
        reason: Reason,
    ) -> After {
        self.set_active(false);
        self.close_account(wire, account, routed, None, reason, 0);
        After::Close
    }

    /// Whether the connection can carry another request after this answer, as far as we are asked.
    fn keeps(&mut self, server: &Server, answer: &Response, receiver: &Receiver) -> bool {
        // SECURITY: nothing after a malformed request is answered, also where not the engine
        // refused it.
        let is_refused =
            matches!(answer.reason, Reason::BadPath | Reason::BodyTooLarge | Reason::HandlerPanic);
        // What follows a refused CONNECT may be meant for the tunnel.
        let may_be_tunnel = self.exchange.head().form() == Form::Authority;
        let asks_for_close = answer::asks_for_close(&answer.fields);
        if is_refused || may_be_tunnel || asks_for_close || receiver.must_close() {
            return false;
        }
        let is_kept = !matches!(answer.body, Body::Tunnel(_));
        self.closes = self.why_not_keep(server).filter(|_| is_kept);
        self.closes.is_none()
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// Why it was cut.
    async fn answer(
        &mut self,
        wire: &mut Wire,
        receiver: &mut Receiver,
        mut answer: Response,
        keep: bool,
    ) -> Result<Sent, Reason> {
        let body = std::mem::take(&mut answer.body);
        if let Body::Tunnel(tunnel) = body {
            return Box::pin(self.switch(wire, answer, tunnel)).await;
        }
        answer.body = body;
        let promise = answer::write_head(wire, &self.exchange, &answer, keep);
        wire.body_begins();
        let body = std::mem::take(&mut answer.body);
        if self.state.log.as_ref().is_some_and(WorkerLog::wants_answer) {
            self.answer_fields = Some(Box::new(std::mem::take(&mut answer.fields)));
        }
        self.exchange.reclaim(answer);
        let written = answer::write_body(wire, receiver, body, promise.framing).await;
        if written.is_err() && promise.framing == Framing::Close {
            // An orderly end would say that the body is complete.
            wire.transport.reset_on_close();
        }
        Ok(Sent { body_bytes: written?, keep: promise.keep_alive })
    }

    /// Sends the answer that switches protocols and runs the tunnel to its end.
    async fn switch(
        &mut self,
        wire: &mut Wire,
        answer: Response,
        tunnel: Box<dyn Tunnel>,
    ) -> Result<Sent, Reason> {
        answer::write_head(wire, &self.exchange, &answer, true);
        wire.flush(false).await?;
        wire.request_ends = None;
        tunnel::run(wire, tunnel).await?;
        Ok(Sent { body_bytes: 0, keep: false })
    }

    /// Why the connection must not be kept after the answer that is about to be written.
    fn why_not_keep(&self, server: &Server) -> Option<Reason> {
        let state = &self.state;
        if state.drains(self.server) {
            return Some(Reason::Drained);
        }
        // The first request since it rested, or since it began: one that soon rests again.
        if self.requests == 1 && state.worker.process.level() >= Level::Scarce && !server.private {
            return Some(Reason::IdlePressure);
        }
        let limit = server.scope.limits.keepalive_requests;
        if limit.is_some_and(|limit| self.requests_so_far() >= limit) {
            return Some(Reason::KeepaliveRequests);
        }
        let end =
            server.scope.timeouts.connection_age_max.and_then(|_| state.park.age_ends(self.token));
        end.filter(|end| state.worker.now() >= *end).map(|_| Reason::ConnectionAge)
    }

    /// Reads away what nobody read of a body, so that the connection can be kept.
    async fn settle_body(&mut self, wire: &mut Wire, receiver: &mut Receiver) -> After {
        // The peer may wait for this answer before it sends the rest.
        if let Err(reason) = wire.flush(false).await {
            self.ends(reason);
            return After::Cut;
        }
        match receiver.discard(wire).await {
            Ok(true) => After::Next,
            Ok(false) => After::Linger,
            Err(reason) => {
                // The answer has its record; why the connection ends is counted beside it. That a
                // peer went away is no outcome of its own.
                if !matches!(reason, Reason::ClientClosed | Reason::BodyTruncated) {
                    self.state.outcome(self.server, reason);
                }
                After::Linger
            }
        }
    }

    /// The connection ends for a reason that no exchange tells.
    fn ends(&mut self, reason: Reason) {
        self.why = Some(reason);
        self.state.outcome(self.server, reason);
    }

    fn set_active(&mut self, is_active: bool) {
        if let Some(counters) = self.state.counters(self.server) {
            match (self.is_active, is_active) {
                (false, true) => counters.requests_active.add(1),
                (true, false) => counters.requests_active.subtract(1),
                _ => {}
            }
        }
        self.is_active = is_active;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_active(false);
        if std::thread::panicking() {
            self.state.worker.counters.panics.add(1);
        }
        if !self.is_parked {
            if self.state.counters(self.server).is_some() {
                let server = &self.state.names[usize::from(self.server)];
                events::closed(server, self.peer, self.requests, self.why);
            }
            self.state.park.remove(self.token);
            self.state.forget(self.server, self.peer);
        }
    }
}

/// An answer that was written whole.
struct Sent {
    body_bytes: u64,
    keep: bool,
}

/// Whether the answer was cut because the peer is gone or did not keep up.
fn is_peers_doing(reason: Reason) -> bool {
    use Reason::{ClientClosed, Drained, RequestTimeout, WriteIdleTimeout, WriteTooSlow};
    matches!(reason, ClientClosed | Drained | RequestTimeout | WriteIdleTimeout | WriteTooSlow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<F: Future>(_: &impl Fn(Rc<State>, Token, Transport, Vec<u8>) -> F) -> usize {
        size_of::<F>()
    }

    /// What a burst of new connections holds for each until it parks.
    #[test]
    fn a_task_keeps_its_budget() {
        let size = future_size(&Connection::task);
        assert!(size <= 2048, "{size} bytes");
    }
}
