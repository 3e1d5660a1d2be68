//! Handlers and body streams made for tests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use stead_core::{
    Body, BodyStream, Error, Exchange, Fields, Frame, Handler, Name, Reply, RequestBody, Response,
    Result, StatusCode, Tunnel, TunnelIo, name,
};

/// Answers with a fixed text, from a lent buffer, as `respond` does.
pub(crate) struct Fixed(pub(crate) &'static str);

impl Handler for Fixed {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Ready(text(exchange, self.0.as_bytes()))
    }
}

/// A plain answer.
pub(crate) fn text(exchange: &Exchange, text: &[u8]) -> Response {
    let mut body = exchange.worker().buffer();
    body.extend_from_slice(text);
    exchange.respond(StatusCode::OK).with_body(body)
}

/// Answers with a function's result, at once.
pub(crate) struct Make<F>(pub(crate) F);

impl<F: Fn(&mut Exchange) -> Response + Send + Sync> Handler for Make<F> {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Ready((self.0)(exchange))
    }
}

/// Answers with an async function's result.
pub(crate) struct Wait<F>(pub(crate) F);

impl<F> Handler for Wait<F>
where
    F: for<'a> Fn(&'a mut Exchange) -> Pin<Box<dyn Future<Output = Result<Response>> + 'a>>
        + Send
        + Sync,
{
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Wait((self.0)(exchange))
    }
}

/// [`Wait`], with the types told to the compiler.
pub(crate) fn wait<F>(run: F) -> Wait<F>
where
    F: for<'a> Fn(&'a mut Exchange) -> Pin<Box<dyn Future<Output = Result<Response>> + 'a>>
        + Send
        + Sync,
{
    Wait(run)
}

/// Answers with the request's body, as it comes.
pub(crate) struct Echo;

impl Handler for Echo {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let body = exchange.take_body();
        Reply::Ready(exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(body))))
    }
}

/// Reads the whole body, then tells its length and its trailers.
pub(crate) struct Count;

impl Handler for Count {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::wait(async move {
            let (bytes, trailers) = read_body(exchange.take_body()).await?;
            let mut told = bytes.to_string();
            for (name, value) in trailers.iter() {
                let (name, value) = (name.as_bytes().escape_ascii(), value.escape_ascii());
                told.extend([" ", &name.to_string(), "=", &value.to_string()]);
            }
            Ok(text(exchange, told.as_bytes()))
        })
    }
}

/// Bytes and trailers of a body, read to its end.
pub(crate) async fn read_body(mut body: RequestBody) -> Result<(u64, Fields)> {
    let (mut bytes, mut trailers) = (0, Fields::new());
    while let Some(frame) = body.frame().await {
        match frame? {
            Frame::Bytes(piece) => bytes += piece.len() as u64,
            Frame::Trailers(fields) => trailers = fields,
        }
    }
    Ok((bytes, trailers))
}

/// Answers the request's own head: method, path, query, host, a field named `x-tell`.
pub(crate) struct Tell;

impl Handler for Tell {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let shown =
            |bytes: Option<&[u8]>| bytes.map_or("-".into(), |b| b.escape_ascii().to_string());
        let told = format!(
            "{} {} {} {} {}",
            exchange.method(),
            exchange.path(),
            shown(exchange.query()),
            shown(exchange.head().host()),
            shown(exchange.fields().get(Name::from_bytes(b"x-tell"))),
        );
        Reply::Ready(text(exchange, told.as_bytes()))
    }
}

/// Counts its calls.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<AtomicU64>);

impl Calls {
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler for Calls {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        self.add();
        Reply::Ready(text(exchange, b"called"))
    }
}

/// A step of a [`Script`].
#[derive(Clone)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    Trailers(&'static str, &'static str),
    /// Pending once; ready again at once.
    Yield,
    Fail,
    Panic,
    /// Never ready again.
    Hang,
}

impl Step {
    pub(crate) fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A body stream that plays steps.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    length: Option<u64>,
}

impl Script {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), length: None }
    }
}

impl BodyStream for Script {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Bytes(bytes)) => Poll::Ready(Some(Ok(Frame::Bytes(bytes.into())))),
            Some(Step::Trailers(name, value)) => {
                let mut fields = Fields::new();
                fields.append(Name::from_bytes(name.as_bytes()), value.as_bytes());
                Poll::Ready(Some(Ok(Frame::Trailers(fields))))
            }
            Some(Step::Yield) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Fail) => Poll::Ready(Some(Err(Error::internal("the script says so")))),
            Some(Step::Panic) => panic!("the script says so"),
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
        }
    }

    fn len(&self) -> Option<u64> {
        self.length
    }
}

/// Answers with a body that plays the same steps each time.
pub(crate) struct Play(pub(crate) Vec<Step>, pub(crate) Option<u64>);

impl Handler for Play {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let mut script = Script::new(self.0.clone());
        script.length = self.1;
        Reply::Ready(exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(script))))
    }
}

/// A body of `pieces` equal pieces that counts how many were asked for.
pub(crate) struct Counted {
    pub(crate) piece: Bytes,
    pub(crate) pieces: u64,
    pub(crate) asked: Calls,
}

impl BodyStream for Counted {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        if self.pieces == 0 {
            return Poll::Ready(None);
        }
        self.pieces -= 1;
        self.asked.add();
        Poll::Ready(Some(Ok(Frame::Bytes(self.piece.clone()))))
    }
}

/// Switches to a tunnel that answers in capitals until the client says it is done.
pub(crate) struct Switch;

impl Handler for Switch {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let mut answer = exchange.respond(StatusCode::SWITCHING_PROTOCOLS);
        answer.fields.set(name::UPGRADE, b"capitals");
        Reply::Ready(answer.with_body(Body::Tunnel(Box::new(Capitals))))
    }
}

struct Capitals;

impl Tunnel for Capitals {
    fn run<'a>(
        self: Box<Self>,
        io: &'a mut dyn TunnelIo,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>> {
        Box::pin(async move {
            let mut buffer = [0; 256];
            loop {
                let count = poll_fn(|context| io.poll_read(context, &mut buffer)).await?;
                if count == 0 {
                    return io.shutdown();
                }
                buffer[..count].make_ascii_uppercase();
                let mut sent = 0;
                while sent < count {
                    sent += poll_fn(|context| io.poll_write(context, &buffer[sent..count])).await?;
                }
            }
        })
    }
}

/// Sleeps on the worker's event loop.
pub(crate) async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Tells when it is dropped.
pub(crate) struct Told(pub(crate) Calls);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.add();
    }
}
