//! Protocol switches of services: axum's `WebSocketUpgrade`, and what else awaits an `OnUpgrade`.
//!
//! Only hyper can make an `OnUpgrade`. So the request's head is replayed into an HTTP/1.1 server
//! connection of hyper over a pair in memory, and the service is called from there:
//!
//! 1. any answer but 101 is taken before hyper writes it, and goes the ordinary way; hyper's
//!    connection is dropped, this one goes on;
//! 2. after 101 hyper writes a head, which is read away, and hands its end of the pair to the
//!    service; our end becomes the tunnel. Bytes, ends and breaks pass both ways.
//!
//! Such a connection stays a task with its pair for as long as the tunnel lasts. RFC 9110 §7.8.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use stead_core::{
    Body as AnswerBody, Error, Exchange, Reason, Response as Answer, Result, Tunnel, TunnelIo,
};
use stead_http1::Framing;
use stead_http1::encode::{RequestLine, request_head};
use tower_service::Service;

use crate::answer::answer;
use crate::pair::{End, pair};
use crate::pump::Pump;
use crate::request::{add_fields, introduce, put_target};
use crate::service::{Here, Make, failed, ready_service};
use crate::turn::Turns;
use crate::{Body, BoxError};

/// Answers a request that asks for a protocol switch.
pub(crate) async fn switch<M: Make>(here: Rc<Here<M>>, exchange: &mut Exchange) -> Result<Answer> {
    let head = match replay(exchange) {
        Ok(head) => head,
        Err(reason) => return Ok(exchange.refuse(reason)),
    };
    let service = ready_service(&here, exchange).await?;
    let turns = Turns::new(exchange, &here.route);
    let (ours, theirs) = pair();
    ours.write(&head);
    let mut extensions = http::Extensions::new();
    introduce(&mut extensions, exchange);
    let caught = Rc::new(RefCell::new(None));
    let inner = Replayed { service: RefCell::new(service), extensions, caught: Rc::clone(&caught) };
    let connection = Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(theirs, inner)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut is_over = false;
    let response = poll_fn(|context| {
        let path = Some(exchange.routed_path());
        is_over = is_over || turns.turn(path, || connection.as_mut().poll(context)).is_ready();
        match caught.borrow_mut().take() {
            Some(response) => Poll::Ready(Some(response)),
            None if is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    });
    let Some(response) = response.await else {
        return Err(Error::internal("a request could not be replayed for its protocol switch"));
    };
    let response = response.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (pump, _) = Pump::start(exchange);
        let mut parts = Some((response, pump));
        let answered = poll_fn(|context| match parts.take() {
            Some((response, pump)) => {
                Poll::Ready(answer(exchange, response, pump, &turns, context))
            }
            None => Poll::Pending,
        });
        return Ok(answered.await.0);
    }
    let mut answer = exchange.respond(StatusCode::SWITCHING_PROTOCOLS);
    add_fields(&mut answer.fields, response.headers());
    if !is_over {
        // Hyper writes its head, then hands its end over.
        let mut head = Head::default();
        poll_fn(|context| {
            head.skip(&ours, context);
            connection.as_mut().poll(context).map(drop)
        })
        .await;
        return Ok(answer.with_body(tunnel(ours, head)));
    }
    Ok(answer.with_body(tunnel(ours, Head::default())))
}

/// As many fields as the limits of a server can be raised to, and some.
const HEADERS_MAX: usize = 1024;
/// The same for bytes of a head.
const HEAD_BYTES_MAX: usize = 2 << 20;

fn tunnel(end: End, head: Head) -> AnswerBody {
    AnswerBody::Tunnel(Box::new(Joined { end, head }))
}

/// The request's head as the client sent it, but with the canonical path.
///
/// # Errors
/// The target holds a byte that hyper would refuse, without an answer of ours.
fn replay(exchange: &Exchange) -> Result<Vec<u8>, Reason> {
    let mut target = Vec::new();
    put_target(&mut target, exchange);
    PathAndQuery::try_from(&*target).map_err(|_| Reason::BadTarget)?;
    let mut head = Vec::new();
    let line = RequestLine {
        method: exchange.method(),
        target: &target,
        host: None,
        framing: Framing::None,
        keep_alive: true,
        upgrade: exchange.head().upgrade(),
    };
    request_head(&mut head, &line, exchange.fields());
    Ok(head)
}

/// The user's service, called from within hyper.
struct Replayed<S, B> {
    service: RefCell<S>,
    extensions: http::Extensions,
    caught: Caught<B>,
}

/// What the service answered; hyper sees no more of it than that it is a 101.
type Caught<B> = Rc<RefCell<Option<Result<Response<B>, BoxError>>>>;

impl<S, B> hyper::service::Service<Request<Incoming>> for Replayed<S, B>
where
    S: Service<Request<Body>, Response = Response<B>> + 'static,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(|_| Body::empty());
        request.extensions_mut().extend(self.extensions.clone());
        let called = self.service.borrow_mut().call(request);
        let caught = Rc::clone(&self.caught);
        Box::pin(async move {
            let response = called.await.map_err(Into::into);
            let switches = response
                .as_ref()
                .is_ok_and(|response| response.status() == StatusCode::SWITCHING_PROTOCOLS);
            *caught.borrow_mut() = Some(response);
            if !switches {
                // Taken by now: hyper's connection ends here.
                return std::future::pending().await;
            }
            let mut switch = Response::new(Body::empty());
            *switch.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            Ok(switch)
        })
    }
}

/// Reads away the head that hyper writes.
#[derive(Default)]
struct Head {
    /// How much of the empty line at its end was seen.
    seen: usize,
}

impl Head {
    const END: &'static [u8] = b"\r\n\r\n";

    /// Skips what is there of it.
    fn skip(&mut self, end: &End, context: &Context<'_>) {
        while self.seen < Self::END.len() {
            let skipped = end.poll_bytes(context, |bytes| (self.skip_in(bytes), ()));
            if !matches!(skipped, Poll::Ready(Some(()))) {
                return;
            }
        }
    }

    /// How many of `bytes` belong to the head.
    fn skip_in(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            self.seen = match Self::END.get(self.seen) {
                Some(next) if next == byte => self.seen + 1,
                _ => usize::from(*byte == b'\r'),
            };
            if self.seen == Self::END.len() {
                return index + 1;
            }
        }
        bytes.len()
    }
}

/// The tunnel: the peer's end joined to the service's.
struct Joined {
    end: End,
    head: Head,
}

impl Tunnel for Joined {
    fn run<'a>(
        self: Box<Self>,
        io: &'a mut dyn TunnelIo,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>> {
        let Self { end, mut head } = *self;
        let mut ways = Ways { in_done: false, out_done: false };
        Box::pin(poll_fn(move |context| {
            head.skip(&end, context);
            ways.poll(&end, io, context)
        }))
    }
}

/// Which ways of a tunnel have ended.
struct Ways {
    in_done: bool,
    out_done: bool,
}

/// Pieces carried in one turn: what always has more must not keep the others waiting.
const TURN_PIECES: usize = 16;
/// Bytes read at once.
const PIECE_BYTES: usize = 4 << 10;

impl Ways {
    fn poll(
        &mut self,
        end: &End,
        io: &mut dyn TunnelIo,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURN_PIECES {
            let moved_in = !self.in_done && self.poll_in(end, io, context)?;
            let moved_out = !self.out_done && self.poll_out(end, io, context)?;
            if self.in_done && self.out_done {
                return Poll::Ready(Ok(()));
            }
            if !moved_in && !moved_out {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// From the peer to the service; whether anything moved.
    fn poll_in(
        &mut self,
        end: &End,
        io: &mut dyn TunnelIo,
        context: &mut Context<'_>,
    ) -> io::Result<bool> {
        let room = match end.poll_room(context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => {
                self.in_done = true;
                return Ok(true);
            }
            Poll::Ready(Some(room)) => room,
        };
        let mut piece = [0; PIECE_BYTES];
        match io.poll_read(context, &mut piece[..room.min(PIECE_BYTES)]) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => {
                end.end();
                self.in_done = true;
                Ok(true)
            }
            Poll::Ready(Ok(count)) => {
                end.write(&piece[..count]);
                Ok(true)
            }
            Poll::Ready(Err(error)) => {
                end.break_off();
                Err(error)
            }
        }
    }

    /// From the service to the peer; whether anything moved.
    fn poll_out(
        &mut self,
        end: &End,
        io: &mut dyn TunnelIo,
        context: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut write = None;
        let polled = end.poll_bytes(&Context::from_waker(context.waker()), |bytes| {
            let polled = io.poll_write(context, bytes);
            let count = match &polled {
                Poll::Ready(Ok(count)) => *count,
                _ => 0,
            };
            write = Some(polled);
            (count, ())
        });
        match (polled, write) {
            (Poll::Ready(None), _) => {
                io.shutdown()?;
                self.out_done = true;
                Ok(true)
            }
            (_, Some(Poll::Ready(Err(error)))) => {
                end.break_off();
                Err(error)
            }
            (_, Some(Poll::Ready(Ok(_)))) => Ok(true),
            _ => Ok(false),
        }
    }
}
