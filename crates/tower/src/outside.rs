//! A service on a tokio runtime of the user's: called there, its answer's body polled there.
//!
//! Each request is one task of that runtime. Requests and answers go through the same channels of
//! one slot that carry bodies between threads anyway.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::body::plain;
use crate::channel::{Reader, Sender, channel};
use crate::{Body, BoxError};

/// A service whose calls run on another runtime.
#[derive(Clone)]
pub(crate) struct Outside<S> {
    service: S,
    runtime: Handle,
}

impl<S> Outside<S> {
    pub(crate) fn new(service: S, runtime: Handle) -> Self {
        Self { service, runtime }
    }
}

impl<S, B> Service<Request<Body>> for Outside<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data: Send> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Called;

    /// Always: readiness is awaited where the service runs.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Called {
        let mut service = self.service.clone();
        let runtime = self.runtime.clone();
        Called(self.runtime.spawn(async move {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            let (parts, body) = response.into_parts();
            Ok(Response::from_parts(parts, carry(body, &runtime)))
        }))
    }
}

/// A call on another runtime; dropped, it ends there too.
pub(crate) struct Called(JoinHandle<Result<Response<Body>, BoxError>>);

impl Future for Called {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(Pin::new(&mut self.0).poll(context)) {
            Ok(result) => Poll::Ready(result),
            // Counted and answered like any handler's panic.
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Poll::Ready(Err("the runtime of the service has ended".into())),
        }
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that a task of `runtime` polls, frame by frame as it is asked for.
fn carry<B>(body: B, runtime: &Handle) -> Body
where
    B: http_body::Body<Data: Send> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let len = body.size_hint().exact();
    if len == Some(0) {
        return Body::empty();
    }
    let (sender, receiver) = channel(len);
    // The task ends by itself once its reader is gone.
    drop(runtime.spawn(feed(body, sender)));
    Body::channel(receiver)
}

async fn feed<B>(body: B, sender: Sender)
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(body);
    loop {
        if poll_fn(|context| sender.poll_reader(context)).await == Reader::IsGone {
            return;
        }
        // A body that waits must notice too that nobody waits for it any more.
        let frame = poll_fn(|context| match body.as_mut().poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending if sender.poll_gone(context).is_ready() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match frame.await {
            None => return,
            Some(None) => return sender.finish(Ok(())),
            Some(Some(frame)) => match plain(frame) {
                Ok(frame) => sender.push(frame),
                Err(error) => return sender.finish(Err(error)),
            },
        }
    }
}
