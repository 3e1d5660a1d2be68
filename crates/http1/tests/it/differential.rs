//! The corpus through hyper's server: where the two differ, `differences.txt` says why.
//!
//! For each message: is it accepted or refused, with which class of status, and if both accept it,
//! do they agree on method, target and body. A difference that is not listed fails, and so does a
//! line of the list without a difference.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use stead_http1::Method;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::corpus::{bytes, messages};
use crate::exchange::{default_limits, requests, response};

#[test]
fn intended_differences_from_hyper_are_listed() {
    let mut listed = listed();
    let mut unlisted = Vec::new();
    for (name, input) in messages() {
        let (ours, theirs) = (ours(&input), theirs(&input));
        match (difference(&ours, &theirs), listed.remove(&name)) {
            (Some(difference), None) => unlisted.push(format!("{name}: {difference}")),
            (None, Some(reason)) => unlisted.push(format!("{name}: listed ({reason}), but equal")),
            _ => (),
        }
    }
    unlisted.extend(listed.keys().map(|name| format!("{name}: listed, but there is no such file")));
    assert!(unlisted.is_empty(), "tests/differences.txt:\n{}", unlisted.join("\n"));
}

/// What a server made of a message.
#[derive(Debug, Default)]
struct Verdict {
    /// Method, target and body of each request read to its end.
    requests: Vec<(String, Vec<u8>, Vec<u8>)>,
    refused: bool,
    /// Of the refusal, if it was answered.
    status: Option<u16>,
}

fn difference(ours: &Verdict, theirs: &Verdict) -> Option<String> {
    let class = |verdict: &Verdict| verdict.status.map(|status| status / 100);
    match (ours.refused, theirs.refused) {
        (true, false) => Some(format!("only we refuse it ({:?})", ours.status)),
        (false, true) => Some(format!("only hyper refuses it ({:?})", theirs.status)),
        (true, true) if theirs.status.is_some() && class(ours) != class(theirs) => {
            Some(format!("{:?}, hyper {:?}", ours.status, theirs.status))
        }
        (true, true) => None,
        (false, false) if ours.requests == theirs.requests => None,
        (false, false) => Some(format!("{:?}, hyper {:?}", ours.requests, theirs.requests)),
    }
}

fn ours(input: &[u8]) -> Verdict {
    let outcome = requests(input, &[], default_limits());
    let complete = outcome.requests.into_iter().filter(|request| request.complete);
    Verdict {
        requests: complete.map(|r| (r.method, r.target, r.body)).collect(),
        refused: outcome.end.is_err(),
        status: outcome.end.err().and_then(stead_base::Reason::status),
    }
}

/// Runs hyper on one end of a pipe and the message on the other.
fn theirs(input: &[u8]) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(input).await.expect("room in the pipe");
        client.shutdown().await.expect("an open pipe");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn(|request| answer(Arc::clone(&seen), request));
        // The message is all there will be, but the answer is still wanted.
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(Pipe(server), service);
        let limited = tokio::time::timeout(Duration::from_secs(10), connection).await;
        let failed = !matches!(limited, Ok(Ok(())));
        let mut written = Vec::new();
        client.read_to_end(&mut written).await.expect("an open pipe");
        let status = refusal(&written);
        let requests = seen.lock().expect("no panic").clone();
        Verdict { refused: failed || status.is_some(), status, requests }
    })
}

type Seen = Arc<Mutex<Vec<(String, Vec<u8>, Vec<u8>)>>>;

/// Reads the body whole, notes the request, answers 200 without content.
async fn answer(
    seen: Seen,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<String>, hyper::Error> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
        if let Ok(piece) = frame?.into_data() {
            body.extend_from_slice(&piece);
        }
    }
    let entry = (head.method.to_string(), head.uri.to_string().into_bytes(), body);
    seen.lock().expect("no panic").push(entry);
    Ok::<_, Infallible>(hyper::Response::new(String::new())).map_err(|never| match never {})
}

/// The first status of 400 or more among the responses.
fn refusal(mut written: &[u8]) -> Option<u16> {
    while !written.is_empty() {
        let response = response(written, &[], default_limits(), &Method::HEAD).ok()?;
        let status = *response.statuses.last()?;
        if status >= 400 {
            return Some(status);
        }
        let end = written.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        written = &written[end..];
    }
    None
}

/// `file: reason` lines; those that begin with `#` say something about the list.
fn listed() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differences.txt");
    let text = String::from_utf8(bytes(&path)).expect("UTF-8");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries = lines.map(|line| line.split_once(": ").expect("`file: reason`"));
    entries.map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect()
}

/// A pipe of tokio as hyper wants it.
struct Pipe(DuplexStream);

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut place = [0; 4096];
        let room = cursor.remaining().min(place.len());
        let mut read = ReadBuf::new(&mut place[..room]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        cursor.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
