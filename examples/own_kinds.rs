//! A handler and middleware of the program's own that the configuration names, each with settings
//! whose errors are shown at the character.
//!
//! `curl -H 'X-Api-Key: k-1' http://localhost:3000/me`

use stead::kinds::{
    BuildContext, Config, Decoder, Diagnostic, Diagnostics, Exchange, Flow, Handler, HandlerKind,
    Map, Middleware, MiddlewareKind, Name, NamedHandler, NamedMiddleware, Reply, Settings, Span,
    StatusCode, name,
};
use stead::{StartError, Stead};

const CONFIGURATION: &str = r#"
log.access = "stderr"

[server.web]
listen = ["${WEB:-:3000}"]

[[server.web.route]]
path = "/me"
middleware = [{ api_keys = { callers = { ann = "k-1", bob = "k-2" } } }]
caller = { greeting = "hello, " }
"#;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let stead = match std::env::args().nth(1) {
        Some(path) => Stead::from_config(path)?,
        None => Stead::from_text(CONFIGURATION),
    };
    let running = stead.middleware::<ApiKeys>().handler::<Caller>().start().await?;
    println!("{}", running.listening()[0].url);
    running.shutdown_on_signal().await
}

/// Lets in who shows a key, and remembers who it is.
struct ApiKeys(ApiKeysConfig);

#[derive(Config)]
#[config(check = check_keys)]
struct ApiKeysConfig {
    /// The field that holds the key.
    #[config(default = "X-Api-Key")]
    field: String,
    /// The key of each caller.
    callers: Map<String>,
}

/// Who showed a key: what later middleware and the handler find in the exchange's slots.
struct CallerName(String);

fn check_keys(config: &ApiKeysConfig, span: Span, decoder: &mut Decoder<'_>) {
    if config.callers.iter().next().is_none() {
        decoder.report(Diagnostic::error(span, "nobody has a key").help("write `ann = \"…\"`"));
    }
}

impl Middleware for ApiKeys {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let shown = exchange.fields().get(Name::from_bytes(self.0.field.as_bytes()));
        let caller = self.0.callers.iter().find(|(_, key)| shown == Some(key.as_bytes()));
        let Some((caller, _)) = caller else {
            return Flow::Respond(exchange.respond(StatusCode::UNAUTHORIZED));
        };
        exchange.slots().put(CallerName(caller.value.clone()));
        Flow::Continue
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(response) = exchange.response_mut() {
            response.fields.set(name::CACHE_CONTROL, b"private");
        }
        Flow::Continue
    }
}

impl NamedMiddleware for ApiKeys {
    const KIND: MiddlewareKind = MiddlewareKind::new("api_keys", build_api_keys)
        .summary("let in who shows a key")
        .settings::<ApiKeysConfig>();
}

fn build_api_keys(
    settings: &Settings,
    _: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    Ok(Box::new(ApiKeys(settings.decode()?)))
}

/// Greets whom `api_keys` let in.
struct Caller(CallerConfig);

#[derive(Config)]
struct CallerConfig {
    /// What stands before the name.
    #[config(default = "")]
    greeting: String,
}

impl Handler for Caller {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let name = exchange.slots().find::<CallerName>().map_or("stranger", |caller| &caller.0);
        let text = format!("{}{name}\n", self.0.greeting);
        Reply::Ready(exchange.respond(StatusCode::OK).with_body(text.into_bytes()))
    }
}

impl NamedHandler for Caller {
    const KIND: HandlerKind =
        HandlerKind::new("caller", |settings, _| Ok(Box::new(Caller(settings.decode()?))))
            .summary("greet the caller")
            .settings::<CallerConfig>();
}
