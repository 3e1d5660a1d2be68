//! One request with its response: what handlers and middleware hold in their hands.
//!
//! A connection keeps one exchange and begins it again for each request, so that from the second
//! request on nothing is allocated. Its worker lends buffers; whatever belongs to one request is
//! released when the next begins.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use stead_http1::{Method, RequestHead, Version};
use stead_route::Captures;

use crate::{
    Body, BodyStream, Fields, Frame, Reason, Response, Result, Slots, StatusCode, TlsFacts, Worker,
};

/// Whether a connection is encrypted.
///
/// ```
/// # use stead_core as stead;
/// use stead::Scheme;
///
/// assert_eq!(Scheme::Https.as_str(), "https");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plaintext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme's name in a URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who is at the other end.
///
/// ```
/// # use stead_core as stead;
/// use stead::Peer;
///
/// let peer = Peer::Tcp(([192, 0, 2, 1], 4000).into());
/// assert_eq!(peer.to_string(), "192.0.2.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address of the network; IPv4-mapped IPv6 addresses are unmapped.
    Tcp(SocketAddr),
    /// A process of this machine, through a unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{}", address.ip()),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Whose request it is: the peer, or whom a trusted proxy names (`trusted_proxies`).
///
/// ```
/// # use stead_core as stead;
/// use stead::{Client, Peer};
///
/// let peer = Peer::Tcp(([192, 0, 2, 1], 4000).into());
/// assert_eq!(Client::from(peer), Client::Ip([192, 0, 2, 1].into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An address; IPv4-mapped IPv6 addresses are unmapped.
    Ip(IpAddr),
    /// A process of this machine, through a unix socket.
    Unix,
}

impl From<Peer> for Client {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Tcp(address) => Self::Ip(address.ip()),
            Peer::Unix => Self::Unix,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What an exchange knows of its connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// Plaintext or TLS.
    pub scheme: Scheme,
    /// What the handshake agreed on, where it is TLS.
    pub tls: Option<Rc<TlsFacts>>,
    /// The server's name.
    pub server: Rc<str>,
}

/// One request with its response.
pub struct Exchange {
    worker: Rc<Worker>,
    connection: Connection,
    client: Client,
    scheme: Scheme,
    peer_is_trusted: bool,
    is_personal: bool,
    request_id: OnceCell<Box<str>>,
    storage: Storage,
    body: Option<Rc<BodyPipe>>,
    response: Option<Response>,
    slots: Slots,
}

/// What a request is parsed into: lent by the worker to one connection after another, so that a new
/// connection allocates nothing for it.
#[derive(Default)]
pub(crate) struct Storage {
    head: RequestHead,
    /// What the router saw.
    path: String,
    captures: Captures,
    rewritten: Option<Box<Rewritten>>,
}

/// What middleware put in place of path and query.
struct Rewritten {
    path: String,
    query: Option<Vec<u8>>,
}

impl Storage {
    /// Forgets the request; keeps its memory, unless that has grown out of proportion.
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.head.shrink_to(STORAGE_BYTES_MAX);
        self.path.clear();
        self.path.shrink_to(STORAGE_BYTES_MAX);
        self.captures.clear();
        self.rewritten = None;
    }
}

/// Bytes of a head, and of a path, that storage keeps.
const STORAGE_BYTES_MAX: usize = 4 << 10;

impl Drop for Exchange {
    fn drop(&mut self) {
        self.slots.clear();
        self.worker.reclaim_storage(std::mem::take(&mut self.storage));
    }
}

impl Exchange {
    /// An exchange for the requests of one connection.
    pub fn new(worker: Rc<Worker>, connection: Connection) -> Self {
        Self {
            storage: worker.storage(),
            client: connection.peer.into(),
            scheme: connection.scheme,
            peer_is_trusted: false,
            is_personal: false,
            request_id: OnceCell::new(),
            worker,
            connection,
            body: None,
            response: None,
            slots: Slots::default(),
        }
    }

    /// The worker that carries this exchange.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// The connection that it came on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection is encrypted: for whoever did the handshake, before the first request.
    pub fn secure(&mut self, facts: Rc<TlsFacts>) {
        self.connection.scheme = Scheme::Https;
        self.connection.tls = Some(facts);
        self.scheme = Scheme::Https;
    }

    /// Lets go of what is known of the encryption: for a connection that keeps it while it rests.
    pub fn release_tls(&mut self) {
        self.connection.tls = None;
    }

    /// Whether the request must not come on this connection: its handshake proved too little, or
    /// the wrong thing, for the host that is asked (RFC 9110 §7.4).
    pub fn is_misdirected(&self) -> bool {
        let Some(tls) = &self.connection.tls else { return false };
        match self.head().host_name() {
            Some(host) => !tls.permits(host),
            None => !tls.shown.permits_unnamed(),
        }
    }

    /// The request's head as it was parsed.
    pub fn head(&self) -> &RequestHead {
        &self.storage.head
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        self.storage.head.method()
    }

    /// The request's protocol version.
    pub fn version(&self) -> Version {
        self.storage.head.version()
    }

    /// The request's fields.
    pub fn fields(&self) -> &Fields {
        self.storage.head.fields()
    }

    /// The request's fields, to change what inner middleware and the handler see.
    pub fn fields_mut(&mut self) -> &mut Fields {
        self.storage.head.fields_mut()
    }

    /// Whose request it is.
    pub fn client(&self) -> Client {
        self.client
    }

    /// How the client reached us, or the trusted proxy in front of us.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the peer is one of the server's `trusted_proxies`: what it says of others counts.
    pub fn peer_is_trusted(&self) -> bool {
        self.peer_is_trusted
    }

    /// Whether the request came with `Authorization`, also where middleware has taken that out: the
    /// answer is for one user alone (RFC 9111 §3.5).
    pub fn is_personal(&self) -> bool {
        self.is_personal || self.fields().contains(stead_http1::name::AUTHORIZATION)
    }

    /// Remembers that the request came with `Authorization`, for whoever takes that out.
    pub fn mark_personal(&mut self) {
        self.is_personal = true;
    }

    /// The canonical path, as rewritten: the one that rules and handlers see.
    pub fn path(&self) -> &str {
        self.storage.rewritten.as_ref().map_or(&self.storage.path, |rewritten| &rewritten.path)
    }

    /// The canonical path that the router saw: the one that the log shows and that a client knows.
    pub fn routed_path(&self) -> &str {
        &self.storage.path
    }

    /// The query, as rewritten, without its question mark.
    pub fn query(&self) -> Option<&[u8]> {
        match &self.storage.rewritten {
            Some(rewritten) => rewritten.query.as_deref(),
            None => self.storage.head.query(),
        }
    }

    /// Whether path and query are no longer those that were asked for.
    pub fn is_rewritten(&self) -> bool {
        self.storage.rewritten.is_some()
    }

    /// Puts another path and query in place of those that were asked for, for what is further in.
    /// Captures stay what they were.
    ///
    /// # Errors
    /// [`Reason::BadPath`] where `path` has no canonical form.
    pub fn rewrite(&mut self, path: &[u8], query: Option<&[u8]>) -> Result<(), Reason> {
        let mut canonical = String::with_capacity(path.len());
        stead_route::canonicalize(path, &mut canonical)?;
        let query = query.map(<[u8]>::to_vec);
        self.storage.rewritten = Some(Box::new(Rewritten { path: canonical, query }));
        Ok(())
    }

    /// What names this request in logs: as [`Exchange::set_request_id`] said, else made when first
    /// asked for, 32 hexadecimal digits.
    pub fn request_id(&self) -> &str {
        self.request_id.get_or_init(|| {
            let [high, low] = [self.worker.random(), self.worker.random()];
            format!("{high:016x}{low:016x}").into()
        })
    }

    /// What names this request, where somebody has named it or asked for its name.
    pub fn given_request_id(&self) -> Option<&str> {
        self.request_id.get().map(|id| &**id)
    }

    /// Names this request.
    pub fn set_request_id(&mut self, id: Box<str>) {
        self.request_id = OnceCell::from(id);
    }

    /// What the route's pattern captured at position `index` (see
    /// [`BuildContext`](crate::BuildContext)): canonical, still escaped.
    pub fn capture(&self, index: usize) -> Option<&str> {
        self.storage.captures.get(&self.storage.path, index)
    }

    /// The request's body. May be taken once; afterwards, and where there is none, an empty one.
    pub fn take_body(&mut self) -> RequestBody {
        RequestBody(self.body.take())
    }

    /// An answer with lent storage.
    pub fn respond(&self, status: StatusCode) -> Response {
        Response::with_fields(status, self.worker.fields())
    }

    /// A plain-text answer for `reason`: its status, and the status's own name as the body.
    pub fn refuse(&self, reason: Reason) -> Response {
        let status = reason.status().and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = self.worker.buffer();
        body.extend_from_slice(status.as_str().as_bytes());
        body.push(b' ');
        let phrase = match status {
            // As in the status line: the `http` crate has the phrase of an older RFC.
            StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
            other => other.canonical_reason().unwrap_or("Error"),
        };
        body.extend_from_slice(phrase.as_bytes());
        body.push(b'\n');
        let mut response = self.respond(status).with_body(body).with_reason(reason);
        response.fields.set(stead_http1::name::CONTENT_TYPE, b"text/plain; charset=utf-8");
        if reason == Reason::Overloaded {
            // What ran out is held by work that ends soon.
            response.fields.set(stead_http1::name::RETRY_AFTER, b"1");
        }
        response
    }

    /// The answer, once there is one: in the response phase of middleware.
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// The answer, to change it in the response phase of middleware.
    pub fn response_mut(&mut self) -> Option<&mut Response> {
        self.response.as_mut()
    }

    /// State that middleware keep for this exchange.
    pub fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }
}

/// For the connection that carries the exchange, not for handlers.
#[doc(hidden)]
impl Exchange {
    /// Forgets the last request; keeps its storage.
    pub fn begin(&mut self) {
        self.client = self.connection.peer.into();
        self.scheme = self.connection.scheme;
        self.peer_is_trusted = false;
        self.is_personal = false;
        self.request_id.take();
        self.storage.rewritten = None;
        self.storage.head.clear();
        self.storage.path.clear();
        self.storage.captures.clear();
        self.body = None;
        self.slots.clear();
        if let Some(response) = self.response.take() {
            self.reclaim(response);
        }
    }

    /// Says that the peer is a trusted proxy, who the client behind it is, and how that one reached
    /// it.
    pub fn set_client(&mut self, client: Client, scheme: Scheme) {
        self.peer_is_trusted = true;
        self.client = client;
        self.scheme = scheme;
    }

    /// The head, for the decoder to fill.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.storage.head
    }

    /// Makes the canonical path from the head's.
    ///
    /// # Errors
    /// [`Reason::BadPath`].
    pub fn canonicalize_path(&mut self) -> Result<(), Reason> {
        stead_route::canonicalize(self.storage.head.path(), &mut self.storage.path)
    }

    /// Head and path to match, captures to fill.
    pub fn route_parts(&mut self) -> (&RequestHead, &str, &mut Captures) {
        (&self.storage.head, &self.storage.path, &mut self.storage.captures)
    }

    /// Gives the exchange a body that arrives through `pipe`.
    pub fn set_body(&mut self, pipe: Rc<BodyPipe>) {
        self.body = Some(pipe);
    }

    /// Stores the answer for the response phase; an earlier one is dropped.
    pub fn set_response(&mut self, response: Response) {
        if let Some(earlier) = self.response.replace(response) {
            self.reclaim(earlier);
        }
    }

    /// Takes the answer out to write it.
    pub fn take_response(&mut self) -> Option<Response> {
        self.response.take()
    }

    /// Gives an answer's storage back to the worker.
    pub fn reclaim(&self, response: Response) {
        self.worker.reclaim_fields(response.fields);
        if let Body::Buffer(buffer) = response.body {
            self.worker.reclaim_buffer(buffer);
        }
    }
}

/// The body of a request, owned by whoever took it. The connection's task reads the socket only
/// when this is asked for more.
pub struct RequestBody(Option<Rc<BodyPipe>>);

impl RequestBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The peer broke off, was too slow, or broke the framing or `limits.body`.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn frame(&mut self) -> Option<Result<Frame>> {
        poll_fn(|context| self.poll_frame(context)).await
    }
}

impl BodyStream for RequestBody {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match &self.0 {
            Some(pipe) => pipe.poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn len(&self) -> Option<u64> {
        self.0.is_none().then_some(0)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(pipe) = &self.0 {
            pipe.abandon();
        }
    }
}

/// A one-frame pipe from the connection's task to whoever holds the body.
#[derive(Default)]
pub struct BodyPipe(RefCell<PipeState>);

#[derive(Default)]
struct PipeState {
    frame: Option<Frame>,
    /// How the body ended; taken by the reader after the last frame.
    end: Option<Result<()>>,
    ended: bool,
    wanted: bool,
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl BodyPipe {
    fn poll_frame(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let mut state = self.0.borrow_mut();
        if let Some(frame) = state.frame.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if state.ended {
            return Poll::Ready(match state.end.take() {
                Some(Err(error)) => Some(Err(error)),
                _ => None,
            });
        }
        state.wanted = true;
        state.reader = Some(context.waker().clone());
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        Poll::Pending
    }

    fn abandon(&self) {
        let mut state = self.0.borrow_mut();
        state.abandoned = true;
        state.wanted = false;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }

    /// Whether the reader waits for a frame; if not, wakes the caller when it does.
    pub fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.wanted && state.frame.is_none() {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether nobody will read any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.borrow().abandoned
    }

    /// Hands the reader a frame. INVARIANT: the last one was taken ([`Self::poll_wanted`]).
    pub fn push(&self, frame: Frame) {
        let mut state = self.0.borrow_mut();
        debug_assert!(state.frame.is_none(), "one frame at a time");
        state.frame = Some(frame);
        state.wanted = false;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Ends the body.
    pub fn finish(&self, end: Result<()>) {
        let mut state = self.0.borrow_mut();
        state.end = Some(end);
        state.ended = true;
        state.wanted = false;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}
