//! The body that services see: of a request, and of an answer to a call without a socket.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use stead_base::{Error, Kind, Reason};

use crate::BoxError;
use crate::channel::Receiver;

/// The body of a request as a service receives it. `Send`, so that a service may hand it to a task
/// of its own; the connection is read only as fast as this is.
///
/// A body that is still being read when its answer is complete goes on if the answer's length was
/// known, and breaks off with an error if it was not.
///
/// For requests made by hand: `Body::empty()`, `Body::from("text")`, `Body::new(body)`.
///
/// ```
/// # use stead_tower as stead;
/// use stead::Body;
///
/// let request = http::Request::post("/").body(Body::from("hello"))?;
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Bytes(Bytes),
    Channel(Receiver),
    Other(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>),
}

impl Body {
    /// No body.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// # use stead::Body;
    /// let request = http::Request::get("/").body(Body::empty())?;
    /// # Ok::<_, http::Error>(())
    /// ```
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// Any body, such as one of `http-body-util` or of axum.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// # use stead::Body;
    /// let body = Body::new(http_body_util::Full::<bytes::Bytes>::from("hello"));
    /// ```
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Inner::Other(Box::pin(Plain(Box::pin(body)))))
    }

    pub(crate) fn channel(receiver: Receiver) -> Self {
        Self(Inner::Channel(receiver))
    }

    /// Reads all of it, `bytes_max` bytes at most; trailers are dropped.
    ///
    /// ```
    /// # use stead_tower as stead;
    /// # use stead::{Body, BoxError};
    /// # async fn example(body: Body) -> Result<(), BoxError> {
    /// let bytes = body.read_to_end(1 << 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The body broke off, or is longer.
    ///
    /// # Cancel safety
    /// Dropping the future loses what was read.
    pub async fn read_to_end(mut self, bytes_max: usize) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        loop {
            let frame =
                poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut self), context));
            let Some(frame) = frame.await.transpose()? else { return Ok(all.freeze()) };
            let Ok(bytes) = frame.into_data() else { continue };
            if bytes.len() > bytes_max - all.len() {
                let context = format!("the body is longer than {bytes_max} bytes");
                return Err(Error::new(Kind::Protocol, Reason::BodyTooLarge, context));
            }
            if all.is_empty() && http_body::Body::is_end_stream(&self) {
                return Ok(bytes);
            }
            all.extend_from_slice(&bytes);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Channel(receiver) => Pin::new(receiver).poll_frame(context),
            Inner::Other(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Bytes(_) => false,
            Inner::Channel(receiver) => receiver.is_end_stream(),
            Inner::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Channel(receiver) => receiver.size_hint(),
            Inner::Other(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Bytes(bytes) })
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").field(&http_body::Body::size_hint(self)).finish()
    }
}

/// Any body, with its data as `Bytes` and its error as ours.
struct Plain<B>(Pin<Box<B>>);

impl<B> http_body::Body for Plain<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.0.as_mut().poll_frame(context));
        Poll::Ready(frame.map(plain))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A frame of any body as one of ours.
pub(crate) fn plain<D: Buf, E: Into<BoxError>>(
    frame: Result<Frame<D>, E>,
) -> Result<Frame<Bytes>, Error> {
    match frame {
        Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
        Err(error) => {
            let ours = Error::new(Kind::Internal, Reason::ResponseTruncated, "a body broke off");
            Err(ours.with_source(error))
        }
    }
}
