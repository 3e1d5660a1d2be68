//! What the tests of all kinds share: a handler on a route, and requests for it.
//!
//! A [`Bench`] builds a handler from settings as the configuration would, on a worker whose
//! blocking pool is the calling thread, and calls it with requests that went through the engine's
//! and the router's own code.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use stead_base::Limits;
use stead_config::{Diagnostics, Settings};
use stead_core::{
    Blocking, Body, BuildContext, Connection, Counters, Exchange, Fields, Handler, Job, LocalKeys,
    Method, Name, Peer, Process, Reason, Reply, Response, Result, Scheme, Worker, name,
};
use stead_http1::{RequestDecoder, RequestHead};
use stead_route::{PathSpec, RouteRef, RouteSpec, Router, RouterSpec, Sample};

use crate::KINDS;

/// A handler on a route, with a worker to call it on.
pub(crate) struct Bench {
    pub(crate) worker: Rc<Worker>,
    router: Router,
    handler: Box<dyn Handler>,
    jobs: Arc<AtomicUsize>,
    waits: Cell<usize>,
}

/// An answer, its body read whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    /// Whether a part of the body is sent from an open file.
    pub(crate) from_file: bool,
}

impl Bench {
    /// The handler of `settings` on a route with the path `pattern`.
    pub(crate) fn new(pattern: &str, settings: &str) -> Self {
        match Self::build(pattern, settings) {
            Ok(bench) => bench,
            Err(diagnostics) => panic!("{settings}: {diagnostics}"),
        }
    }

    /// What is wrong with `settings`, by message.
    pub(crate) fn refusal(pattern: &str, settings: &str) -> Vec<String> {
        match Self::build(pattern, settings) {
            Ok(_) => Vec::new(),
            Err(diagnostics) => diagnostics.iter().map(|wrong| wrong.message.clone()).collect(),
        }
    }

    fn build(pattern: &str, settings: &str) -> Result<Self, Diagnostics> {
        let route = RouteSpec {
            path: PathSpec::Path(pattern.to_owned()),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        };
        let spec = RouterSpec { sites: Vec::new(), routes: vec![route] };
        let (router, _) = Router::build(&spec).expect("a router of one route");
        let names = router.captures_of(RouteRef { site: None, route: 0 }).expect("that route");
        let (captures, wildcard) = (names.names.clone(), names.wildcard);
        let process = Arc::new(Process::default());
        let keys = LocalKeys::default();
        let context =
            BuildContext { captures: &captures, wildcard, process: &process, keys: &keys };
        let settings = Settings::parse(settings)?;
        let kind = KINDS.iter().find(|kind| kind.name == settings.name()).expect("a known kind");
        let handler = (kind.build)(&settings, &context)?;
        let jobs = Arc::new(AtomicUsize::new(0));
        let pool = Box::new(Inline(Arc::clone(&jobs)));
        let worker = Rc::new(Worker::new(0, process, Arc::new(Counters::default()), pool));
        Ok(Self { worker, router, handler, jobs, waits: Cell::new(0) })
    }

    /// The answer to a request.
    pub(crate) fn call(&self, method: &str, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_call(method, uri, fields).expect("a well-formed request for this route")
    }

    /// The answer to a GET without further fields.
    pub(crate) fn page(&self, uri: &str) -> Answer {
        self.call("GET", uri, &[])
    }

    /// The answer to a request; none if it never gets to the handler.
    pub(crate) fn try_call(
        &self,
        method: &str,
        uri: &str,
        fields: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut all = Fields::new();
        all.append(name::HOST, b"a.example");
        for (name, value) in fields {
            all.append(Name::Other(name.as_bytes()), value.as_bytes());
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.call_head(RequestHead::build(method, uri.as_bytes(), all).ok()?)
    }

    /// The answer to a request of HTTP/1.0, which needs no `Host`.
    pub(crate) fn call_without_host(&self, uri: &str) -> Answer {
        let mut decoder = RequestDecoder::new(Limits::default().head(), None);
        let mut head = RequestHead::default();
        let request = format!("GET {uri} HTTP/1.0\r\n\r\n");
        decoder.decode(request.as_bytes(), &mut head).expect("a request");
        self.call_head(head).expect("a request for this route")
    }

    fn call_head(&self, head: RequestHead) -> Option<Answer> {
        let connection = Connection {
            peer: Peer::Tcp(SocketAddr::from(([192, 0, 2, 1], 4000))),
            scheme: Scheme::Http,
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
        let reply = self.handler.call(&mut exchange);
        let response = match reply {
            Reply::Ready(response) => response,
            Reply::Wait(future) => {
                self.waits.set(self.waits.get() + 1);
                block_on(future).expect("an answer")
            }
        };
        Some(Answer::read(response))
    }

    /// How many answers took a future, and how many jobs the blocking pool ran.
    pub(crate) fn waits(&self) -> (usize, usize) {
        (self.waits.get(), self.jobs.load(Ordering::Relaxed))
    }
}

impl Answer {
    fn read(response: Response) -> Self {
        let Response { status, fields, body, reason } = response;
        let expected = body.len();
        let mut answer =
            Self { status: status.as_u16(), reason, fields, body: Vec::new(), from_file: false };
        answer.append(body);
        assert_eq!(expected, Some(answer.body.len() as u64), "the length that was announced");
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
            Body::Stream(_) | Body::Tunnel(_) => panic!("no handler here streams"),
        }
    }

    /// The value of a field; empty without it.
    pub(crate) fn field(&self, name: &str) -> String {
        let value = self.fields.get(Name::Other(name.as_bytes())).unwrap_or_default();
        String::from_utf8(value.to_vec()).expect("text")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
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
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for something that does not come");
}
