//! The admin socket: an ordinary unix listener with internal handlers, for root and our own user.
//!
//! `GET /status` tells every counter, server, address and limit as JSON; `POST /stop` begins the
//! drain, `POST /stop?now` ends at once. `GET /addresses` tells who holds the most
//! connections. `/log/level` and `/log/reopen` are for the logs.

mod addresses;
mod log;

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock, Weak};

use serde_json::Value;
use stead_core::{Exchange, Handler, Method, Reply, Response, StatusCode, name};
use stead_route::{PathSpec, RouteSpec, Router, RouterSpec};
use stead_serve::access_log::AccessLog;
use stead_serve::{Route, Scope, Server};

use crate::status::Board;
use addresses::AddressesHandler;
use log::{LevelHandler, ReopenHandler};

pub use log::LogLevels;

/// What the admin socket asks of whoever runs Stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Drain and end.
    Stop,
    /// End at once.
    StopNow,
}

/// What the admin server is made of.
pub(crate) struct AdminOptions {
    pub(crate) board: Arc<OnceLock<Board>>,
    pub(crate) control: Sender<Control>,
    pub(crate) log: Weak<AccessLog>,
    pub(crate) log_levels: Option<Arc<dyn LogLevels>>,
}

/// The admin server. Its name cannot be one of the configuration's: it has a blank.
pub(crate) fn server(options: AdminOptions) -> Option<Server> {
    let AdminOptions { board, control, log, log_levels } = options;
    let routes: [(&str, Method, Box<dyn Handler>); 6] = [
        ("/status", Method::GET, Box::new(StatusHandler(Arc::clone(&board)))),
        ("/addresses", Method::GET, Box::new(AddressesHandler(board))),
        ("/stop", Method::POST, Box::new(StopHandler(control))),
        ("/log/level", Method::GET, Box::new(LevelHandler(log_levels.clone()))),
        ("/log/level", Method::POST, Box::new(LevelHandler(log_levels))),
        ("/log/reopen", Method::POST, Box::new(ReopenHandler(log))),
    ];
    let mut spec = RouterSpec::default();
    let mut built = Vec::new();
    for (path, method, handler) in routes {
        spec.routes.push(RouteSpec {
            path: PathSpec::Path(path.to_owned()),
            methods: vec![method.to_string()],
            headers: Vec::new(),
            query: Vec::new(),
        });
        built.push(Route {
            label: path.to_owned(),
            kind: "admin",
            handler,
            scope: Scope { access_log: false, ..Scope::default() },
        });
    }
    let (router, _) = Router::build(&spec).ok()?;
    let mut server = Server::new("stead admin", router, built);
    server.scope.access_log = false;
    server.private = true;
    Some(server)
}

struct StatusHandler(Arc<OnceLock<Board>>);

impl Handler for StatusHandler {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let Some(board) = self.0.get() else {
            return Reply::Ready(exchange.refuse(stead_base::Reason::NotReady));
        };
        let status = board.to_json(exchange.worker());
        Reply::Ready(answer(exchange, &status))
    }
}

fn answer(exchange: &Exchange, value: &Value) -> Response {
    let mut response =
        exchange.respond(StatusCode::OK).with_body(format!("{value}\n").into_bytes());
    response.fields.set(name::CONTENT_TYPE, b"application/json");
    response
}

struct StopHandler(Sender<Control>);

impl Handler for StopHandler {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let now = exchange.query() == Some(b"now");
        let control = if now { Control::StopNow } else { Control::Stop };
        tracing::info!("to {} was asked for", if now { "end at once" } else { "stop" });
        // Nobody listening means that the process is ending already.
        let _ = self.0.send(control);
        Reply::Ready(exchange.respond(StatusCode::ACCEPTED))
    }
}
