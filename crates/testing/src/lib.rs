//! What the tests of kinds share: a handler on a route, middleware around it, and requests for it.
//!
//! A [`Bench`] builds components from settings as the configuration would, on a worker whose
//! blocking pool is the calling thread, and calls them with requests that went through the engine's
//! and the router's own code. Not shipped.

#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use stead_base::Limits;
use stead_config::{Diagnostics, Kind, Settings};
use stead_core::{
    Blocking, Body, BodyStream, BuildContext, Connection, Counters, Exchange, Fields, Flow, Frame,
    Handler, HandlerKind, Job, LocalKeys, Method, Middleware, MiddlewareKind, Name, Peer, Process,
    Reason, Reply, Response, Scheme, Worker, name,
};
use stead_http1::{RequestDecoder, RequestHead};
use stead_route::{PathSpec, RouteRef, RouteSpec, Router, RouterSpec, Sample};

/// A handler on a route, with a worker to call it on.
pub struct Bench {
    /// The worker.
    pub worker: Rc<Worker>,
    router: Router,
    middleware: Vec<Box<dyn Middleware>>,
    handler: Box<dyn Handler>,
    peer: SocketAddr,
    scheme: Scheme,
    jobs: Arc<AtomicUsize>,
    waits: Cell<usize>,
}

/// An answer, its body read whole.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What log and counters would show.
    pub reason: Reason,
    /// The fields.
    pub fields: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// Whether a part of the body is sent from an open file.
    pub from_file: bool,
    /// The frames of a streamed body, whose bytes `body` holds too; with trailers.
    pub frames: usize,
    /// What stands behind a streamed body.
    pub trailers: Option<Fields>,
}

/// Everything that is wrong with settings, by message.
pub fn messages(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(|wrong| wrong.message.clone()).collect()
}

/// Checks what holds for every kind of a crate, whose folder is `manifest`: its name, its
/// documents, its example.
pub fn check_kinds<B: Copy>(kinds: &[Kind<B>], manifest: &str) {
    assert!(kinds.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, each once");
    for kind in kinds {
        let (facts, name) = (kind.facts(), kind.name);
        let file = std::path::PathBuf::from(format!("{manifest}/src/{name}.rs"));
        assert!(file.is_file(), "{name} has its own file");
        for heading in ["# What", "# Why", "# Example", "# Limits", "# RFC"] {
            assert!(facts.docs.contains(heading), "{name} documents {heading}");
        }
        assert!(!facts.summary.is_empty() && !facts.summary.ends_with('.'), "{name}");
        let settings = Settings::parse(facts.example).expect(name);
        assert_eq!(settings.name(), name);
        assert!((facts.validate)(&settings).is_ok(), "{name}");
    }
}

/// Builds a kind out of `name = value`.
///
/// # Errors
/// What is wrong with it.
#[allow(clippy::type_complexity, reason = "what both sorts of kinds have in common")]
pub fn build<T>(
    kinds: &[Kind<fn(&Settings, &BuildContext<'_>) -> Result<T, Diagnostics>>],
    settings: &str,
    context: &BuildContext<'_>,
) -> Result<T, Diagnostics> {
    let settings = Settings::parse(settings)?;
    let kind = kinds.iter().find(|kind| kind.name == settings.name()).expect("a known kind");
    settings.build(|settings| (kind.build)(settings, context))
}

impl Bench {
    /// The handler of `settings`, one of `kinds`, on a route with the path `pattern`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn handler(
        kinds: &[HandlerKind],
        pattern: &str,
        settings: &str,
    ) -> Result<Self, Diagnostics> {
        Self::new(pattern, |context| Ok((Vec::new(), build(kinds, settings, context)?)))
    }

    /// Middleware, outermost first, each one of `kinds`, around `handler`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn around(
        kinds: &[MiddlewareKind],
        pattern: &str,
        settings: &[&str],
        handler: impl Handler + 'static,
    ) -> Result<Self, Diagnostics> {
        Self::new(pattern, |context| {
            let middleware: Result<_, _> =
                settings.iter().map(|settings| build(kinds, settings, context)).collect();
            Ok((middleware?, Box::new(handler) as Box<dyn Handler>))
        })
    }

    /// What `build` makes, on a route with the path `pattern`.
    ///
    /// # Errors
    /// What `build` says.
    #[allow(clippy::type_complexity, reason = "named once, here")]
    pub fn new(
        pattern: &str,
        build: impl FnOnce(
            &BuildContext<'_>,
        ) -> Result<(Vec<Box<dyn Middleware>>, Box<dyn Handler>), Diagnostics>,
    ) -> Result<Self, Diagnostics> {
        let route = RouteSpec {
            path: PathSpec::Path(pattern.to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        };
        let spec = RouterSpec { sites: Vec::new(), routes: vec![route] };
        let (router, _) = Router::build(&spec).expect("a router of one route");
        let captures = router.captures_of(RouteRef { site: None, route: 0 }).expect("that route");
        let process = Arc::new(Process::default());
        let (middleware, handler) =
            build(&BuildContext::new(captures, &process, &LocalKeys::default()))?;
        let jobs = Arc::new(AtomicUsize::new(0));
        let pool = Box::new(Inline(Arc::clone(&jobs)));
        let worker = Rc::new(Worker::new(0, process, Arc::new(Counters::default()), pool));
        let peer = SocketAddr::from(([192, 0, 2, 1], 4000));
        let waits = Cell::new(0);
        let scheme = Scheme::Http;
        Ok(Self { worker, router, middleware, handler, peer, scheme, jobs, waits })
    }

    /// The same with requests over TLS.
    pub fn over_tls(mut self) -> Self {
        self.scheme = Scheme::Https;
        self
    }

    /// The same with requests from this peer; `192.0.2.1:4000` otherwise.
    pub fn from_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = peer;
        self
    }

    /// The answer to a request.
    pub fn call(&self, method: &str, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_call(method, uri, fields).expect("a well-formed request for this route")
    }

    /// The answer to a GET without further fields.
    pub fn page(&self, uri: &str) -> Answer {
        self.call("GET", uri, &[])
    }

    /// The answer to a request, for `a.example` unless it names another host; none if it never gets
    /// to the handler.
    pub fn try_call(&self, method: &str, uri: &str, fields: &[(&str, &str)]) -> Option<Answer> {
        let mut all = Fields::new();
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            all.append(name::HOST, b"a.example");
        }
        for (name, value) in fields {
            all.append(Name::Other(name.as_bytes()), value.as_bytes());
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.call_head(RequestHead::build(method, uri.as_bytes(), all).ok()?)
    }

    /// The answer to a request of HTTP/1.0, which needs no `Host`.
    pub fn call_without_host(&self, uri: &str) -> Answer {
        let mut decoder = RequestDecoder::new(Limits::default().head(), None);
        let mut head = RequestHead::default();
        let request = format!("GET {uri} HTTP/1.0\r\n\r\n");
        decoder.decode(request.as_bytes(), &mut head).expect("a request");
        self.call_head(head).expect("a request for this route")
    }

    fn call_head(&self, head: RequestHead) -> Option<Answer> {
        let connection = Connection {
            peer: Peer::Tcp(self.peer),
            scheme: self.scheme,
            tls: None,
            server: Rc::from("web"),
        };
        let mut exchange = Exchange::new(Rc::clone(&self.worker), connection);
        exchange.begin();
        *exchange.head_mut() = head;
        exchange.canonicalize_path().ok()?;
        let (_, path, captures) = exchange.route_parts();
        let sample =
            Sample { method: "GET".to_owned(), path: path.to_owned(), ..Sample::default() };
        self.router.find(&sample, captures);
        let response = self.run(&mut exchange);
        Some(Answer::read(response))
    }

    /// As the connection runs it: middleware in order, the handler, middleware in reverse.
    fn run(&self, exchange: &mut Exchange) -> Response {
        let (mut ran, mut answer) = (0, None);
        for middleware in &self.middleware {
            ran += 1;
            answer = self.settle(middleware.request(exchange));
            if answer.is_some() {
                break;
            }
        }
        let answer = answer.unwrap_or_else(|| match self.handler.call(exchange) {
            Reply::Ready(response) => response,
            Reply::Wait(future) => self.wait(future).expect("an answer"),
        });
        exchange.set_response(answer);
        for middleware in self.middleware[..ran].iter().rev() {
            let replaced = self.settle(middleware.response(exchange));
            if let Some(response) = replaced {
                exchange.set_response(response);
            }
        }
        exchange.take_response().expect("an answer")
    }

    fn settle(&self, flow: Flow<'_>) -> Option<Response> {
        match flow {
            Flow::Continue => None,
            Flow::Respond(response) => Some(response),
            Flow::Wait(future) => self.wait(future).expect("no error"),
        }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.waits.set(self.waits.get() + 1);
        block_on(future)
    }

    /// How many answers took a future, and how many jobs the blocking pool ran.
    pub fn waits(&self) -> (usize, usize) {
        (self.waits.get(), self.jobs.load(Ordering::Relaxed))
    }
}

impl Answer {
    fn read(response: Response) -> Self {
        let Response { status, fields, body, reason } = response;
        let announced = body.len();
        let mut answer = Self {
            status: status.as_u16(),
            reason,
            fields,
            body: Vec::new(),
            from_file: false,
            frames: 0,
            trailers: None,
        };
        answer.append(body);
        let length = answer.body.len() as u64;
        assert!(announced.is_none_or(|announced| announced == length), "the announced length");
        answer
    }

    fn append(&mut self, body: Body) {
        match body {
            Body::Empty => {}
            Body::Buffer(bytes) => self.body.extend(bytes),
            Body::Bytes(bytes) => self.body.extend(bytes),
            Body::File { file, start, end } => {
                self.from_file = true;
                let mut bytes = vec![0; (end - start) as usize];
                let count = stead_sys::file::read_at(file.as_fd(), &mut bytes, start);
                assert_eq!(count.expect("a readable file"), bytes.len());
                self.body.extend(bytes);
            }
            Body::Chain(bodies) => bodies.into_iter().for_each(|body| self.append(body)),
            Body::Stream(mut stream) => self.drain(&mut *stream),
            Body::Tunnel(_) => panic!("a tunnel is no body"),
        }
    }

    fn drain(&mut self, stream: &mut dyn BodyStream) {
        while let Some(frame) = block_on(poll_fn(|context| stream.poll_frame(context))) {
            self.frames += 1;
            match frame.expect("a whole body") {
                Frame::Bytes(bytes) => self.body.extend(bytes),
                Frame::Trailers(trailers) => self.trailers = Some(trailers),
            }
        }
    }

    /// The value of a field; empty without it.
    pub fn field(&self, name: &str) -> String {
        let value = self.fields.get(Name::Other(name.as_bytes())).unwrap_or_default();
        String::from_utf8(value.to_vec()).expect("text")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

/// Runs jobs at once, and counts them.
struct Inline(Arc<AtomicUsize>);

impl Blocking for Inline {
    fn run(&self, job: Job) {
        self.0.fetch_add(1, Ordering::Relaxed);
        job();
    }
}

/// Runs a future that waits for nothing but [`Inline`] jobs.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for something that does not come");
}
