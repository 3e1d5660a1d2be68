//! What the admin socket does for logs: tells and changes levels, opens the access log again.

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_config::{Level, Levels, Module};
use stead_core::{Exchange, Handler, Method, Reply, Response, StatusCode, name};
use stead_serve::access_log::{AccessLog, Destination};

/// Who holds the levels of Stead's own log: the library sets no subscriber, the program does.
pub trait LogLevels: Send + Sync + fmt::Debug {
    /// The levels now.
    fn levels(&self) -> Levels;

    /// Changes the level of a module, without one of all of them, and gives the levels that count
    /// then. One step: of two changes at once none is lost.
    fn change(&self, module: Option<Module>, level: Level) -> Levels;
}

/// `GET /log/level`; `POST /log/level?MODULE=LEVEL`, `default` for all modules.
pub(super) struct LevelHandler(pub(super) Option<Arc<dyn LogLevels>>);

impl Handler for LevelHandler {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let Some(held) = &self.0 else {
            let said = "the program that Stead runs in holds its log\n";
            return Reply::Ready(answer(exchange, StatusCode::CONFLICT, said));
        };
        let levels = if *exchange.method() == Method::POST {
            let Some((module, level)) = exchange.query().and_then(asked) else {
                let said = "write ?MODULE=LEVEL\n";
                return Reply::Ready(answer(exchange, StatusCode::BAD_REQUEST, said));
            };
            let levels = held.change(module, level);
            let of = module.map_or("everything", Module::as_str);
            tracing::info!("the log level of {of} is {} now", level.as_str());
            levels
        } else {
            held.levels()
        };
        let mut shown = Map::new();
        shown.insert("default".to_owned(), json!(levels.default.as_str()));
        for module in Module::ALL {
            shown.insert(module.as_str().to_owned(), json!(levels.of(module).as_str()));
        }
        let mut response = answer(exchange, StatusCode::OK, &format!("{}\n", Value::Object(shown)));
        response.fields.set(name::CONTENT_TYPE, b"application/json");
        Reply::Ready(response)
    }
}

fn asked(query: &[u8]) -> Option<(Option<Module>, Level)> {
    let (module, level) = std::str::from_utf8(query).ok()?.split_once('=')?;
    let module = match module {
        "default" => None,
        other => Some(Module::named(other)?),
    };
    Some((module, Level::named(level)?))
}

/// `POST /log/reopen`. INVARIANT: does not keep the log: whoever drops it waits for its last
/// records.
pub(super) struct ReopenHandler(pub(super) Weak<AccessLog>);

/// How long whoever asks waits for the file to be open.
const REOPEN_WITHIN: Duration = Duration::from_secs(5);

impl Handler for ReopenHandler {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let Some(log) = self.0.upgrade() else {
            let said = "there is no access log\n";
            return Reply::Ready(answer(exchange, StatusCode::CONFLICT, said));
        };
        let name = log.destination().to_string();
        if !matches!(log.destination(), Destination::File(_)) {
            let said = format!("the access log goes to {name}: there is no file to open again\n");
            return Reply::Ready(answer(exchange, StatusCode::CONFLICT, &said));
        }
        let opening = exchange.worker().blocking(move || log.reopen_within(REOPEN_WITHIN));
        Reply::Wait(Box::pin(async move {
            let opened = opening.await.unwrap_or_else(|_| Err(io::ErrorKind::ResourceBusy.into()));
            Ok(match opened {
                Ok(()) => answer(exchange, StatusCode::OK, &format!("{name} is open again\n")),
                Err(error) => {
                    let said = format!("{name} could not be opened again: {error}\n");
                    answer(exchange, StatusCode::INTERNAL_SERVER_ERROR, &said)
                }
            })
        }))
    }
}

fn answer(exchange: &Exchange, status: StatusCode, text: &str) -> Response {
    let mut response = exchange.respond(status).with_body(text.as_bytes().to_vec());
    response.fields.set(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
    response
}
