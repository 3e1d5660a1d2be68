//! Requests that come from this process: no socket, no engine, the same exchange.
//!
//! What a caller on another thread gives and gets is of the `http` crate; both bodies go through
//! channels that a task on the worker feeds.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use stead_base::{Error, Kind, Reason};
use stead_core::{
    Body as AnswerBody, BodyPipe, BodyStream, Fields, Frame as CoreFrame, OpenFile,
    Response as Answer, Worker,
};
use stead_http1::RequestHead;

use crate::Body;
use crate::channel::{Reader, Sender, channel};
use crate::request::{add_fields, header_map};

/// The head and body of a request, `Send`.
pub struct Inside {
    head: RequestHead,
    body: Body,
}

impl Inside {
    /// Takes a request apart. A host that is named nowhere is `localhost`; the framing fields are
    /// made from the body.
    ///
    /// # Errors
    /// What the same request would be refused with on the wire.
    pub fn new(request: Request<Body>) -> Result<Self, Reason> {
        let (mut parts, body) = request.into_parts();
        if !parts.headers.contains_key(HOST) {
            let host = parts.uri.authority().map_or("localhost", |authority| authority.as_str());
            let host = HeaderValue::from_str(host).map_err(|_| Reason::BadHost)?;
            parts.headers.insert(HOST, host);
        }
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        match body.size_hint().exact() {
            Some(0) => {}
            Some(len) => drop(parts.headers.insert(CONTENT_LENGTH, len.into())),
            None => {
                let chunked = HeaderValue::from_static("chunked");
                parts.headers.insert(TRANSFER_ENCODING, chunked);
            }
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut fields = Fields::new();
        add_fields(&mut fields, &parts.headers);
        let head = RequestHead::build(parts.method, target.as_bytes(), fields)?;
        Ok(Self { head, body })
    }

    /// The head for an exchange, and what feeds its body.
    pub fn into_parts(self) -> (RequestHead, Option<Feeder>) {
        let pipe = (!self.body.is_end_stream()).then(Rc::default);
        (self.head, pipe.map(|pipe| Feeder { body: self.body, pipe }))
    }
}

/// Feeds an exchange's body from a caller's.
pub struct Feeder {
    body: Body,
    pipe: Rc<BodyPipe>,
}

impl Feeder {
    /// The pipe, for the exchange.
    pub fn pipe(&self) -> Rc<BodyPipe> {
        Rc::clone(&self.pipe)
    }

    /// Moves the body on as it is asked for; never ends.
    pub async fn feed(mut self) {
        loop {
            poll_fn(|context| self.pipe.poll_wanted(context)).await;
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                None => self.pipe.finish(Ok(())),
                Some(Err(error)) => self.pipe.finish(Err(error)),
                Some(Ok(frame)) => self.pipe.push(core_frame(frame)),
            }
        }
    }
}

/// A frame of the `http-body` crate as one of the core's.
pub(crate) fn core_frame(frame: Frame<Bytes>) -> CoreFrame {
    match frame.into_data() {
        Ok(bytes) => CoreFrame::Bytes(bytes),
        Err(frame) => {
            let mut fields = Fields::new();
            if let Ok(trailers) = frame.into_trailers() {
                add_fields(&mut fields, &trailers);
            }
            CoreFrame::Trailers(fields)
        }
    }
}

/// An answer for a caller on another thread, and what must run on the worker to feed its body.
pub fn respond(
    answer: Answer,
    worker: Rc<Worker>,
) -> (Response<Body>, impl Future<Output = ()> + 'static) {
    let len = answer.body.len();
    let (sender, receiver) = channel(len);
    let is_empty = len == Some(0);
    let body = if is_empty { Body::empty() } else { Body::channel(receiver) };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = header_map(&answer.fields);
    let feeding = async move {
        if is_empty {
            return;
        }
        let end = send(&sender, answer.body, &worker).await;
        if let Some(end) = end {
            sender.finish(end);
        }
    };
    (response, feeding)
}

/// Sends a body; `None` where nobody reads it.
async fn send(sender: &Sender, body: AnswerBody, worker: &Rc<Worker>) -> Option<Result<(), Error>> {
    match body {
        AnswerBody::Empty | AnswerBody::Tunnel(_) => {}
        AnswerBody::Buffer(buffer) => push(sender, Frame::data(buffer.into())).await?,
        AnswerBody::Bytes(bytes) => push(sender, Frame::data(bytes)).await?,
        AnswerBody::File { file, start, end } => {
            return send_file(sender, file, start..end, worker).await;
        }
        AnswerBody::Chain(bodies) => {
            for body in bodies {
                if let Err(error) = Box::pin(send(sender, body, worker)).await? {
                    return Some(Err(error));
                }
            }
        }
        AnswerBody::Stream(stream) => return send_stream(sender, stream).await,
    }
    Some(Ok(()))
}

async fn send_stream(
    sender: &Sender,
    mut stream: Box<dyn BodyStream>,
) -> Option<Result<(), Error>> {
    loop {
        let mut gone = pin!(poll_fn(|context| sender.poll_gone(context)));
        let frame = poll_fn(|context: &mut Context<'_>| match stream.poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => gone.as_mut().poll(context).map(|()| None),
        });
        match frame.await? {
            None => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(error)),
            Some(Ok(CoreFrame::Bytes(bytes))) => push(sender, Frame::data(bytes)).await?,
            Some(Ok(CoreFrame::Trailers(fields))) => {
                push(sender, Frame::trailers(header_map(&fields))).await?;
            }
        }
    }
}

async fn send_file(
    sender: &Sender,
    file: Arc<OpenFile>,
    bytes: std::ops::Range<u64>,
    worker: &Rc<Worker>,
) -> Option<Result<(), Error>> {
    /// Bytes read at once.
    const PIECE: u64 = 64 << 10;
    let mut at = bytes.start;
    while at < bytes.end {
        let file = Arc::clone(&file);
        let count = (bytes.end - at).min(PIECE);
        let read = worker.blocking(move || {
            let mut piece = vec![0; count as usize];
            let count = stead_sys::file::read_at(&*file, &mut piece, at)?;
            piece.truncate(count);
            Ok::<_, std::io::Error>(piece)
        });
        match read.await {
            Ok(Ok(piece)) if !piece.is_empty() => {
                at += piece.len() as u64;
                push(sender, Frame::data(piece.into())).await?;
            }
            Ok(Ok(_)) => return Some(Err(Reason::FileChanged.into())),
            Ok(Err(error)) => {
                let ours = Error::new(Kind::System, Reason::FileError, "read a file");
                return Some(Err(ours.with_source(error)));
            }
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(()))
}

async fn push(sender: &Sender, frame: Frame<Bytes>) -> Option<()> {
    match poll_fn(|context| sender.poll_reader(context)).await {
        Reader::IsGone => None,
        Reader::Waits => {
            sender.push(frame);
            Some(())
        }
    }
}
