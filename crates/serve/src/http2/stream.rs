//! One request of an HTTP/2 connection, from its head to its access record.
//!
//! The same line as in HTTP/1: router, middleware, handler, answer, account. What differs is how a
//! head is read, how a body moves, and that only the stream ends where something is wrong with it.
//!
//! INVARIANT: a stream's permit is held until its handler is done or dropped, also where the peer
//! has reset it long before (SECURITY.md 26).

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason as Code, RecvStream};
use http::request::Parts;
use stead_base::{Reason, Tick};
use stead_core::{Exchange, Fields, Method, Scheme, StatusCode, Version};
use stead_http1::encode::ResponseLine;
use stead_http1::{Framing, Http2Request};

use super::answer::{Out, holds_file, whole_bytes};
use super::carrier::Piece;
use super::fields;
use super::receive::Receiver;
use super::session::{Held, Permit, Place, Session, earlier};
use crate::access_log::WorkerLog;
use crate::account::{self, Ended};
use crate::answer;
use crate::chain::{self, Routed};
use crate::guard::{Panicked, poll_guarded};
use crate::snapshot::ScopeRef;
use crate::stalled::{STALLED_LEAST, Stall};
use crate::wire::{Direction, Watch};

/// How long a client may go on sending a body that nobody reads, once it has all but the end of its
/// answer.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of it that are read away for an answer that tells of success, and for others: clients stop
/// by themselves when they read those.
const DISCARD_MAX: u64 = 64 << 20;
const REFUSED_DISCARD_MAX: u64 = 64 << 10;

/// One stream while its exchange lasts.
pub(super) struct Stream {
    pub(super) session: Rc<Session>,
    pub(super) permit: Permit,
    respond: SendResponse<Piece>,
    /// Where what holds is found.
    scope: ScopeRef,
    place: Place,
    /// When `timeouts.request` is over.
    request_ends: Option<Tick>,
    pub(super) writing: Watch,
    writing_due: Option<Tick>,
    /// While the peer takes nothing.
    pub(super) stall: Option<Stall>,
    /// What the pace was judged by.
    pub(super) seen: Seen,
    /// What the protocol holds of the answer's body, once that is to be bounded.
    pub(super) held: Option<Held>,
    /// Bytes of the answer's body so far, and of its head.
    pub(super) body_bytes: u64,
    head_bytes: u64,
    /// The answer's head was handed over.
    is_answered: bool,
    /// The request's body was not over when the answer began: the answer's end waits, and where it
    /// tells of success its last bytes too.
    pub(super) holds_end: bool,
    pub(super) holds_last: bool,
    pub(super) last: Option<Piece>,
    /// Where they will go; kept while the request still sends.
    out: Option<Out>,
    started: Duration,
    answer_fields: Option<Box<Fields>>,
}

/// Bytes at the last look at the peer's pace.
#[derive(Default)]
pub(super) struct Seen {
    /// Those of this stream, and those of the connection.
    pub(super) own: u64,
    all: u64,
    /// What the peer was given credit for.
    pub(super) moved: u64,
    /// The stream waited for the connection.
    is_shared: bool,
}

/// Carries one request to its end.
pub(super) async fn serve(
    session: Rc<Session>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Piece>,
    head: usize,
) {
    let permit = session.permit(head);
    let mut exchange = session.exchange();
    let mut stream = Stream::new(session, permit, respond);
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let filled = fill(&mut exchange, &parts, has_body, &stream.session);
    let bytes_in = head_bytes(&parts, head);
    drop(parts);
    let expects = filled.is_ok() && exchange.head().expects_continue();
    let mut receiver = Receiver::new(body, has_body, expects);
    stream.run(&mut exchange, &mut receiver, filled, bytes_in).await;
    let Stream { session, permit: _permit, mut place, .. } = stream;
    place.leave(&session);
    session.reclaim(exchange, head);
}

impl Stream {
    fn new(session: Rc<Session>, permit: Permit, respond: SendResponse<Piece>) -> Self {
        let started = account::begin(&session.state);
        Self {
            session,
            permit,
            respond,
            scope: ScopeRef::SERVER,
            place: Place::default(),
            request_ends: None,
            writing: Watch::new(Direction::Write),
            writing_due: None,
            stall: None,
            seen: Seen::default(),
            held: None,
            body_bytes: 0,
            head_bytes: 0,
            is_answered: false,
            holds_end: false,
            holds_last: false,
            last: None,
            out: None,
            started,
            answer_fields: None,
        }
    }

    async fn run(
        &mut self,
        exchange: &mut Exchange,
        receiver: &mut Receiver,
        filled: Result<(), Reason>,
        bytes_in: u64,
    ) {
        let state = Rc::clone(&self.session.state);
        let server = state.server(self.session.server);
        let mut routed = match filled {
            Ok(()) => {
                server.trusted_proxies.introduce(exchange);
                chain::route(server, state.router(self.session.server), exchange)
            }
            Err(reason) if reason.status().is_some() => Routed::answered(exchange.refuse(reason)),
            Err(reason) => Routed { closes: Some(reason), ..Routed::none() },
        };
        let ended = self.answer(exchange, receiver, &mut routed, filled.is_ok()).await;
        let (status, reason) = match ended {
            Ok((status, reason)) => {
                self.session.worked(stead_http2::Guard::completed);
                (Some(status), reason)
            }
            Err((status, reason)) => {
                self.reset(reason, exchange.method());
                (status, reason)
            }
        };
        let answer = self.answer_fields.take();
        account::close(
            &state,
            self.session.server,
            &Ended {
                exchange,
                routed: &routed,
                status,
                reason,
                closes: self.session.take_closing().filter(|closes| *closes != reason),
                bytes_in: bytes_in + receiver.bytes,
                bytes_out: self.head_bytes + self.body_bytes,
                bytes_body: self.body_bytes,
                started: self.started,
                answer: answer.as_deref(),
            },
        );
        exchange.slots().clear();
        // After the record, which does not wait for what nobody reads.
        if let Some(out) = self.out.take() {
            receiver.discard(if self.holds_last { DISCARD_MAX } else { REFUSED_DISCARD_MAX });
            Box::pin(self.end_late(out, receiver)).await;
        }
    }

    /// Asks for an answer and sends it.
    ///
    /// # Errors
    /// Why there is none, or why it was cut, with the status that was sent.
    async fn answer(
        &mut self,
        exchange: &mut Exchange,
        receiver: &mut Receiver,
        routed: &mut Routed<'_>,
        is_chained: bool,
    ) -> Result<(StatusCode, Reason), (Option<StatusCode>, Reason)> {
        if let Some(reason) = routed.closes {
            return Err((None, reason));
        }
        let state = Rc::clone(&self.session.state);
        let server = state.server(self.session.server);
        let scope = server.scope(routed.place);
        self.scope = routed.place;
        let limit = scope.timeouts.request;
        self.request_ends = limit.map(|limit| state.worker.now() + limit);
        receiver.set_bytes_max(scope.limits.body.map(|size| size.0));
        if chain::exceeds(scope, exchange.head().framing()) {
            routed.answer = Some(exchange.refuse(Reason::BodyTooLarge));
        }
        if let Some(pipe) = receiver.pipe() {
            exchange.set_body(pipe);
        }
        let is_new = || !self.session.has_served.get();
        let is_shed = chain::sheds(&state, server, routed, is_new);
        self.session.has_served.set(self.session.has_served.get() || !is_shed);
        if is_shed {
            scope.refuse(exchange, Reason::Overloaded);
        } else if let Some(answer) = routed.answer.take_if(|_| !is_chained) {
            exchange.set_response(answer);
        } else {
            let asked = chain::ask(&state, exchange, routed, scope, |context| {
                self.poll_beside(receiver, context)
            });
            asked.await.map_err(|reason| (None, reason))?;
            chain::check(exchange, receiver.is_complete());
        }
        // A body that nobody took stays unread.
        drop(exchange.take_body());
        let body = exchange.response().map(|answer| &answer.body);
        let (bytes, has_file) =
            body.map_or((0, false), |body| (whole_bytes(body), holds_file(body)));
        if !self.permit.holds(bytes) {
            drop(exchange.take_response());
            return Err((None, Reason::Http2Refused));
        }
        if has_file && !self.permit.holds_file() {
            scope.refuse(exchange, Reason::Overloaded);
        }
        if receiver.expects_reader() {
            self.tell_to_continue();
        }
        let Some(answer) = exchange.response() else { return Err((None, Reason::HandlerError)) };
        let (status, reason) = (answer.status, answer.reason);
        let mut sending = pin!(self.send(exchange, receiver));
        let sent = poll_fn(|context| match poll_guarded(sending.as_mut(), context) {
            Ok(polled) => polled,
            Err(Panicked) => Poll::Ready(Err(Reason::HandlerPanic)),
        });
        match sent.await {
            Ok(()) => Ok((status, reason)),
            Err(cut) => {
                if cut == Reason::HandlerPanic {
                    state.worker.counters.panics.add(1);
                }
                Err((Some(status), cut))
            }
        }
    }

    async fn send(
        &mut self,
        exchange: &mut Exchange,
        receiver: &mut Receiver,
    ) -> Result<(), Reason> {
        let Some(mut answer) = exchange.take_response() else { return Err(Reason::HandlerError) };
        let body = std::mem::take(&mut answer.body);
        let framing = answer::framing_of(answer.status, &body);
        let line = ResponseLine {
            version: Version::Http2,
            status: answer.status,
            framing,
            keep_alive: true,
            to_head: *exchange.method() == Method::HEAD,
        };
        let follows = line.promise().framing;
        let state = &self.session.state;
        let (map, bytes) = fields::of_answer(&answer, &line, &state.stamps, state.worker.date());
        self.head_bytes = bytes;
        let mut head = http::Response::new(());
        *head.status_mut() = answer.status;
        *head.headers_mut() = map;
        if answer::asks_for_close(&answer.fields) {
            self.session.close();
        }
        if state.log.as_ref().is_some_and(WorkerLog::wants_answer) {
            self.answer_fields = Some(Box::new(std::mem::take(&mut answer.fields)));
        }
        exchange.reclaim(answer);
        let is_whole = matches!(follows, Framing::None | Framing::Length(0));
        self.holds_end = receiver.keeps_coming();
        self.holds_last = self.holds_end && line.status.is_success();
        let sent = self.respond.send_response(head, is_whole && !self.holds_end);
        let mut out = sent.map_err(|_| Reason::ClientClosed)?;
        self.is_answered = true;
        let id = out.stream_id().as_u32();
        self.session.worked(|guard| guard.answered(id));
        if !is_whole {
            self.write_body(&mut out, receiver, body, follows).await?;
        }
        self.out = (self.holds_end || !receiver.is_complete()).then_some(out);
        Ok(())
    }

    /// Moves the request's body on beside whatever else is waited for.
    ///
    /// # Errors
    /// The exchange is over: the peer has reset it, or it took too long.
    pub(super) fn poll_beside(
        &mut self,
        receiver: &mut Receiver,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Reason>> {
        if receiver.takes_continue(context) {
            self.tell_to_continue();
        }
        let session = Rc::clone(&self.session);
        let timeouts = &session.server().scope(self.scope).timeouts;
        if receiver.poll(&session, timeouts, context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !self.is_answered && self.respond.poll_reset(context).is_ready() {
            return Poll::Ready(Err(Reason::ClientClosed));
        }
        if let Some(reason) = self.is_over() {
            return Poll::Ready(Err(reason));
        }
        self.wait(context, receiver.due(), None)
    }

    /// Has this task woken at `due`, or when the exchange is over.
    pub(super) fn wait<T>(
        &mut self,
        context: &Context<'_>,
        due: Option<Tick>,
        for_room: Option<Held>,
    ) -> Poll<T> {
        let due = earlier(due, self.request_ends);
        self.place.wait(&self.session, context, due, for_room)
    }

    /// Why the exchange must not wait on: `timeouts.request` is over, or the drain.
    pub(super) fn is_over(&self) -> Option<Reason> {
        if self.session.state.cut.get() {
            return Some(Reason::Drained);
        }
        let ends = self.request_ends?;
        (self.session.now() >= ends).then_some(Reason::RequestTimeout)
    }

    /// The peer takes nothing more for now: when to look again. Where the whole connection waits,
    /// be it for our room (`is_ours`) or for its window, what all of its streams send counts.
    ///
    /// # Errors
    /// It is too slow, or stands still while memory is scarce.
    pub(super) fn judge_writing(&mut self, is_ours: bool) -> Result<Option<Tick>, Reason> {
        let now = self.session.now();
        let lacks_memory = self.session.state.lacks_memory();
        let is_shared = is_ours || self.session.is_shut();
        let (own, all) = (self.body_bytes, self.session.bytes_sent());
        if !self.writing.waiting {
            self.seen = Seen { own, all, is_shared, ..self.seen };
        }
        let is_due = lacks_memory || self.writing_due.is_some_and(|due| now >= due);
        if !self.writing.waiting || is_due {
            let counts_all = std::mem::replace(&mut self.seen.is_shared, is_shared) || is_shared;
            self.seen.moved += if counts_all { all - self.seen.all } else { own - self.seen.own };
            (self.seen.own, self.seen.all) = (own, all);
            let timeouts = &self.session.server().scope(self.scope).timeouts;
            let again = self.writing.judge(self.seen.moved, timeouts, now)?;
            self.writing_due = again.map(|again| now + again);
            if lacks_memory && self.writing.stood_still() >= STALLED_LEAST {
                return Err(Reason::Http2Stalled);
            }
        }
        Ok(self.writing_due)
    }

    /// Ends an answer whose request still sends, once that is over or takes too long: a client that
    /// has all of its answer before it sent all may spin for ever (curl 7.88, which then never
    /// looks at its window again). What still comes then is stopped with the stream; a client that
    /// waits with its body takes that for an error where it comes with the answer.
    async fn end_late(&mut self, mut out: Out, receiver: &mut Receiver) {
        let session = Rc::clone(&self.session);
        let ends = session.now() + DISCARD_WITHIN;
        poll_fn(|context| {
            let is_over = self.is_over().is_some() || session.now() >= ends;
            if is_over || receiver.poll_discard(&session, context).is_ready() {
                return Poll::Ready(());
            }
            self.wait(context, Some(ends), None)
        })
        .await;
        if !self.holds_end {
            return;
        }
        // What is gone has no end.
        let last = self.last.take();
        let last = last.unwrap_or_else(|| Piece::bytes(&session, Bytes::new(), None));
        let _ = out.send_data(last, true);
    }

    fn tell_to_continue(&mut self) {
        let mut interim = http::Response::new(());
        *interim.status_mut() = StatusCode::CONTINUE;
        // A peer that is gone needs none.
        let _ = self.respond.send_informational(interim);
    }

    fn reset(&mut self, reason: Reason, method: &Method) {
        let code = match reason {
            // Others may have changed something: they are not to be asked again unseen.
            Reason::Http2Refused if method.is_safe() => {
                self.session.worked(stead_http2::Guard::refused);
                Code::REFUSED_STREAM
            }
            _ => code(reason),
        };
        self.respond.send_reset(code);
    }
}

/// What the peer is told of a stream that ends before its answer does (RFC 9113 §7).
fn code(reason: Reason) -> Code {
    match reason {
        Reason::Http2Malformed => Code::PROTOCOL_ERROR,
        Reason::HandlerError
        | Reason::HandlerPanic
        | Reason::ResponseTruncated
        | Reason::FileChanged
        | Reason::FileError => Code::INTERNAL_ERROR,
        _ => Code::CANCEL,
    }
}

/// Reads a request's head.
///
/// # Errors
/// Why it is refused, with what was read of it in the exchange.
fn fill(
    exchange: &mut Exchange,
    parts: &Parts,
    has_body: bool,
    session: &Session,
) -> Result<(), Reason> {
    let server = session.server();
    let path = parts.uri.path_and_query().map(|path| path.as_str().as_bytes());
    let request = Http2Request {
        method: &parts.method,
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        scheme: parts.uri.scheme_str().map(str::as_bytes),
        path: path.filter(|_| parts.method != Method::CONNECT),
        fields: &parts.headers,
        has_body,
    };
    exchange.head_mut().fill_http2(&request, &server.scope.limits.head())?;
    let is_ours =
        parts.uri.scheme_str().is_none_or(|scheme| is_scheme(session.facts.scheme, scheme));
    // A proxy may have taken TLS off (SECURITY.md 20).
    let is_right = is_ours || server.trusted_proxies.origins.contains(exchange.client());
    if is_right { Ok(()) } else { Err(Reason::Http2Malformed) }
}

fn is_scheme(ours: Scheme, theirs: &str) -> bool {
    theirs.eq_ignore_ascii_case(ours.as_str())
}

/// Leaves the record of a request that the protocol answered itself and never showed: nothing of it
/// is known.
pub(super) fn record_unseen(session: &Session, reason: Reason) {
    let state = &session.state;
    let mut exchange = Exchange::new(Rc::clone(&state.worker), session.facts.clone());
    let fields = &http::HeaderMap::new();
    let (method, authority, scheme, path) = (&Method::GET, None, None, None);
    let nothing = Http2Request { method, authority, scheme, path, fields, has_body: false };
    // It breaks off at once, and says which protocol it was.
    let _ = exchange.head_mut().fill_http2(&nothing, &session.server().scope.limits.head());
    account::close(
        state,
        session.server,
        &Ended {
            exchange: &exchange,
            routed: &Routed::none(),
            status: reason.status().and_then(|status| StatusCode::from_u16(status).ok()),
            reason,
            closes: None,
            bytes_in: 0,
            bytes_out: 0,
            bytes_body: 0,
            started: account::begin(state),
            answer: None,
        },
    );
}

/// About what a request's head holds of our memory, in bytes.
pub(super) fn held_bytes(request: &http::Request<RecvStream>) -> usize {
    let fields = request.headers();
    let text: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    text + path + fields.len() * FIELD_BYTES
}

/// What a field costs beside its text, as in HPACK's reckoning (RFC 7541 §4.1).
const FIELD_BYTES: usize = 32;

/// Bytes of a request's head before they were compressed; `held` is as [`held_bytes`] said.
fn head_bytes(parts: &Parts, held: usize) -> u64 {
    let text = held - parts.headers.len() * FIELD_BYTES;
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    (text + authority + parts.method.as_str().len()) as u64
}
