//! Requests without a socket: an errand to a worker, which answers as it would a connection.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::{Request, Response, StatusCode};
use stead_base::Reason;
use stead_core::{Body as AnswerBody, Exchange, Method, Peer, Response as Answered, name};
use stead_serve::{Guest, Messenger};
use stead_tower::{Body, Inside, respond};
use tokio::sync::oneshot;

/// Why a call got no answer.
///
/// ```
/// # use stead::{CallError, Running};
/// # async fn example(running: &Running) -> Result<(), http::Error> {
/// let request = http::Request::get("/").body(())?;
/// match running.call("api", request).await {
///     Ok(response) => println!("{}", response.status()),
///     Err(CallError::NoServer(name)) => println!("no {name} here"),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No server has this name.
    #[error("no server is called `{0}`")]
    NoServer(String),
    /// The request would be refused before any route sees it.
    #[error("the request is malformed: {}", .0.facts().meaning)]
    Refused(Reason),
    /// The answer switches protocols, for which there has to be a connection.
    #[error("the answer switches protocols, which takes a connection")]
    Switch,
    /// The servers have ended, or too many calls wait.
    #[error("the servers have ended or are overloaded")]
    Ended,
}

type Answer = Result<Response<Body>, CallError>;

pub(crate) async fn call(
    messenger: &Messenger,
    turn: usize,
    server: u16,
    request: Request<Body>,
) -> Answer {
    let inside = Inside::new(request).map_err(CallError::Refused)?;
    let (sender, receiver) = oneshot::channel();
    let errand = Box::new(move |guest: Guest| {
        let guest = Rc::new(guest);
        let host = Rc::clone(&guest);
        guest.spawn(async move { run(&host, server, inside, sender).await });
    });
    if !messenger.send(turn, errand) {
        return Err(CallError::Ended);
    }
    receiver.await.unwrap_or(Err(CallError::Ended))
}

/// Runs on the worker: the answer's head goes back at once, its body as it is read.
async fn run(guest: &Guest, server: u16, inside: Inside, mut sender: oneshot::Sender<Answer>) {
    let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut exchange = guest.exchange(server, peer);
    let (head, feeder) = inside.into_parts();
    *exchange.head_mut() = head;
    if let Some(feeder) = &feeder {
        exchange.set_body(feeder.pipe());
    }
    let mut feeding = pin!(async move {
        match feeder {
            Some(feeder) => feeder.feed().await,
            None => std::future::pending().await,
        }
    });
    let answer = {
        let mut answering = pin!(guest.answer(server, &mut exchange));
        poll_fn(|context| {
            if sender.poll_closed(context).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(answer) = answering.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
            let () = std::task::ready!(feeding.as_mut().poll(context));
            Poll::Pending
        })
        .await
    };
    let Some(mut answer) = answer else { return };
    cut_body(&exchange, &mut answer);
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody waiting is as good.
        let _ = sender.send(Err(CallError::Switch));
        return;
    }
    let (response, responding) = respond(answer, Rc::clone(guest.worker()));
    if sender.send(Ok(response)).is_err() {
        return;
    }
    tokio::select! {
        () = responding => {}
        () = feeding => {}
    }
}

/// Ends an answer where its head would end on the wire (RFC 9110 §9.3.2, §15.3.5, §15.4.5).
fn cut_body(exchange: &Exchange, answer: &mut Answered) {
    let is_head = *exchange.method() == Method::HEAD;
    if is_head && let Some(len) = answer.body.len() {
        answer.fields.set(name::CONTENT_LENGTH, len.to_string().as_bytes());
    }
    if is_head || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        answer.body = AnswerBody::Empty;
    }
}
