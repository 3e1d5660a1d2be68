//! The library's front door: servers from code, from a configuration, or both.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_config::{AccessLog, Color, Configuration, Disk, Files, Settings, Sources, Workers};
use stead_core::Process;
use stead_net::Inherited;
use stead_tower::IntoApp;

use crate::Running;
use crate::additions::{Additions, CodeServer};
use crate::bind::Claim;
use crate::check::check_with;
use crate::compile::{Compiled, compile};
use crate::errors::{ServerError, StartError};
use crate::kinds::{NamedHandler, NamedMiddleware};
use crate::off_thread::off_thread;
use crate::server::Server;
use crate::start::{StartOptions, Started, start_compiled};
use crate::state;

/// Several servers in one process, each with its own listeners, limits and timeouts.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use stead::{Server, Stead};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), stead::StartError> {
/// let web = Router::new().route("/", get(|| async { "hello" }));
/// let rpc = Router::new().route("/", get(|| async { "rpc" }));
/// Stead::new()
///     .server(Server::new("web").listen(":3400").service(web))
///     .server(Server::new("rpc").listen(":1234").service(rpc))
///     .run()
///     .await
/// # }
/// ```
#[derive(Default)]
pub struct Stead {
    configuration: Option<Written>,
    additions: Additions,
    servers: Vec<Server>,
    workers: Option<usize>,
    drain: Option<Duration>,
    access_log: bool,
    give_back: Option<fn()>,
}

/// Where a configuration is written.
enum Written {
    File(PathBuf),
    Text(String),
}

impl Stead {
    /// Nothing yet: add servers. Requests are not logged, unless [`Stead::access_log`] says so.
    ///
    /// ```
    /// # use stead::{Server, Stead};
    /// # async fn example(router: axum::Router) -> Result<(), stead::StartError> {
    /// let web = Server::new("web").listen("127.0.0.1:0").service(router);
    /// let running = Stead::new().server(web).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// What the configuration at `path` says, with its log and its limits, to which services and
    /// servers can be added.
    ///
    /// ```no_run
    /// # use axum::Router;
    /// # use stead::Stead;
    /// # async fn example(router: Router) -> Result<(), stead::StartError> {
    /// // In the file: [[server.web.route]] path = "/api/{*rest}" service = "api"
    /// Stead::from_config("stead.toml")?.service("api", router).run().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The file cannot be read. What is wrong in it is found at the start, when everything that it
    /// may name is known.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, StartError> {
        let path = path.as_ref();
        std::fs::File::open(path)
            .map_err(|error| StartError::System(format!("read {}", path.display()), error))?;
        Ok(Self { configuration: Some(Written::File(path.to_owned())), ..Self::default() })
    }

    /// The same for the text of a configuration. Relative paths in it start where the program does.
    ///
    /// ```
    /// # use stead::Stead;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), stead::StartError> {
    /// let text = r#"
    ///     log.access = "off"
    ///     [server.web]
    ///     listen = ["127.0.0.1:0"]
    ///     [[server.web.route]]
    ///     path = "/heartbeat"
    ///     respond = "ok"
    /// "#;
    /// let running = Stead::from_text(text).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_text(text: impl Into<String>) -> Self {
        Self { configuration: Some(Written::Text(text.into())), ..Self::default() }
    }

    /// Writes one line to standard output for every request of the servers made in code: as text on
    /// a terminal, else as JSON. Beside a configuration, that one's `log` decides.
    ///
    /// ```
    /// # use stead::{Server, Stead};
    /// # async fn example(router: axum::Router) -> Result<(), stead::StartError> {
    /// let web = Server::new("web").listen(":3000").service(router);
    /// Stead::new().access_log().server(web).run().await
    /// # }
    /// ```
    pub fn access_log(mut self) -> Self {
        self.access_log = true;
        self
    }

    /// Adds a server.
    ///
    /// ```
    /// # use stead::{Server, Stead};
    /// # fn example(web: axum::Router, metrics: axum::Router) {
    /// let stead = Stead::new()
    ///     .server(Server::new("web").listen(":8080").service(web))
    ///     .server(Server::new("metrics").listen("127.0.0.1:9100").service(metrics));
    /// # }
    /// ```
    pub fn server(mut self, server: Server) -> Self {
        self.servers.push(server);
        self
    }

    /// Gives the configuration a service: a route names it by `service = "NAME"`. Replaces an
    /// earlier one of the same name.
    ///
    /// ```
    /// # use stead::Stead;
    /// # fn example(api: axum::Router, stead: Stead) {
    /// // In the file: service = "api"
    /// let stead = stead.service("api", api);
    /// # }
    /// ```
    pub fn service<M>(mut self, name: impl Into<String>, service: impl IntoApp<M>) -> Self {
        self.additions.services.insert(name.into(), service.into_app());
        self
    }

    /// Gives the configuration another kind of handler, beside the built-in ones.
    ///
    /// ```no_run
    /// use stead::Stead;
    /// use stead::kinds::{Exchange, Handler, HandlerKind, NamedHandler, Reply, StatusCode};
    ///
    /// /// `teapot = {}`
    /// struct Teapot;
    ///
    /// impl Handler for Teapot {
    ///     fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
    ///         Reply::Ready(exchange.respond(StatusCode::IM_A_TEAPOT))
    ///     }
    /// }
    ///
    /// impl NamedHandler for Teapot {
    ///     const KIND: HandlerKind = HandlerKind::new("teapot", |_, _| Ok(Box::new(Teapot)));
    /// }
    ///
    /// # fn main() -> Result<(), stead::StartError> {
    /// let stead = Stead::from_config("stead.toml")?.handler::<Teapot>();
    /// # Ok(())
    /// # }
    /// ```
    pub fn handler<H: NamedHandler>(mut self) -> Self {
        self.additions.handlers.push(H::KIND);
        self
    }

    /// Gives the configuration another kind of middleware, beside the built-in ones.
    ///
    /// ```no_run
    /// use stead::Stead;
    /// use stead::kinds::{Exchange, Flow, Middleware, MiddlewareKind, Name, NamedMiddleware};
    ///
    /// /// `middleware = ["stamp"]`
    /// struct Stamp;
    ///
    /// impl Middleware for Stamp {
    ///     fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
    ///         if let Some(response) = exchange.response_mut() {
    ///             response.fields.set(Name::Other(b"X-Stamp"), b"seen");
    ///         }
    ///         Flow::Continue
    ///     }
    /// }
    ///
    /// impl NamedMiddleware for Stamp {
    ///     const KIND: MiddlewareKind = MiddlewareKind::new("stamp", |_, _| Ok(Box::new(Stamp)));
    /// }
    ///
    /// # fn main() -> Result<(), stead::StartError> {
    /// let stead = Stead::from_config("stead.toml")?.middleware::<Stamp>();
    /// # Ok(())
    /// # }
    /// ```
    pub fn middleware<M: NamedMiddleware>(mut self) -> Self {
        self.additions.middleware.push(M::KIND);
        self
    }

    /// How many event loops, 1 to 1024; else what the configuration says, else one for each usable
    /// core.
    ///
    /// ```
    /// # use stead::Stead;
    /// let stead = Stead::new().workers(2);
    /// ```
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// How long requests in flight may take to end when Stead stops; what is left then is cut. Else
    /// what the configuration says, else 25 s.
    ///
    /// ```
    /// # use {stead::Stead, std::time::Duration};
    /// let stead = Stead::new().drain(Duration::from_secs(5));
    /// ```
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = Some(limit);
        self
    }

    /// What a worker calls on its own thread once it has become quiet, to give free memory back to
    /// the system: for programs whose allocator is not the C library's, such as mimalloc
    /// (`mi_collect`) or jemalloc (`arena.N.purge`). What is never given back is part of what idle
    /// connections cost. Else glibc's `malloc_trim`.
    pub fn give_back(mut self, memory: fn()) -> Self {
        self.give_back = Some(memory);
        self
    }

    /// Binds every address, then serves on threads of its own. Sets no signal handler, no logger
    /// and no panic hook.
    ///
    /// ```
    /// # use axum::{Router, routing::get};
    /// # use stead::{Server, Stead};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), stead::StartError> {
    /// let router = Router::new().route("/", get(|| async { "hello" }));
    /// let running = Stead::new()
    ///     .server(Server::new("web").listen("127.0.0.1:0").service(router))
    ///     .start()
    ///     .await?;
    /// println!("http://{}", running.addresses("web")[0]);
    /// running.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, with the servers made in code, or with the
    /// addresses, each time all of it; nothing is left bound then.
    ///
    /// # Cancel safety
    /// Dropping the future lets the start end by itself, and what it started end with it.
    pub async fn start(self) -> Result<Running, StartError> {
        off_thread(move || self.start_now().map(Running::new)).await
    }

    /// Starts, and serves until SIGTERM, SIGINT or SIGQUIT; then drains. A second signal cuts what
    /// is left.
    ///
    /// ```no_run
    /// # use stead::Stead;
    /// #[tokio::main]
    /// async fn main() -> Result<(), stead::StartError> {
    ///     Stead::from_config("stead.toml")?.run().await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Stead::start`]; signals cannot be awaited.
    pub async fn run(self) -> Result<(), StartError> {
        self.start().await?.shutdown_on_signal().await
    }

    fn start_now(mut self) -> Result<Started, StartError> {
        let clashes = self.additions.clashes();
        if !clashes.is_empty() {
            return Err(StartError::Kinds(clashes));
        }
        let mut claims = self.take_servers()?;
        let (mut configuration, compiled) = match &self.configuration {
            Some(written) => written.read(&self.additions)?,
            None => from_code(&self.additions, self.access_log)?,
        };
        if configuration.process.private_descriptors {
            return Err(StartError::Configuration(NO_PRIVATE_DESCRIPTORS.to_owned()));
        }
        let before = configuration.servers.iter().count();
        for claim in &mut claims {
            claim.server += before;
        }
        if let Some(workers) = self.workers {
            configuration.process.workers = Workers::Count(workers.clamp(1, 1024) as u16);
        }
        if let Some(limit) = self.drain {
            configuration.process.drain.request = limit;
        }
        let state = self.configuration.as_ref().and_then(|written| {
            let name = configuration.process.name.as_ref().map(|name| name.value.as_str());
            state::directory_for(name, written.path())
        });
        let options = StartOptions {
            path: self.configuration.map(|written| written.path().to_owned()).unwrap_or_default(),
            runtime: None,
            state,
            inherited: Inherited::default(),
            collect: self.give_back.unwrap_or(stead_sys::memory::trim),
            is_terminal: io::stdout().is_terminal(),
            log_levels: None,
        };
        start_compiled(&configuration, compiled, claims, options)
    }

    /// Moves the servers made in code to what is compiled; gives what they want to listen on.
    fn take_servers(&mut self) -> Result<Vec<Claim>, StartError> {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        let access_log = self.access_log || self.configuration.is_some();
        for server in std::mem::take(&mut self.servers) {
            let names = &self.additions.servers;
            if names.iter().any(|other| other.name == server.name()) {
                let message = "another server has this name: write one of its own".to_owned();
                errors.push(ServerError { server: server.name().to_owned(), message });
                continue;
            }
            if let Some((server, claims)) = server.into_parts(names.len(), access_log, &mut errors)
            {
                self.additions.servers.push(server);
                all.extend(claims);
            }
        }
        if self.configuration.is_none() && self.additions.servers.is_empty() && errors.is_empty() {
            let message = "add `.server(Server::new(\"web\"))`".to_owned();
            errors.push(ServerError { server: String::new(), message });
        }
        if errors.is_empty() { Ok(all) } else { Err(StartError::Servers(errors)) }
    }
}

impl Written {
    fn read(&self, additions: &Additions) -> Result<(Configuration, Compiled), StartError> {
        let environment = |name: &str| std::env::var(name).ok();
        let path = self.path();
        let checked = match self {
            Self::File(_) => check_with(path, &Disk, &environment, additions),
            Self::Text(text) => check_with(path, &InMemory(text), &environment, additions),
        };
        let text = checked.diagnostics.render(&checked.sources, Color::Never);
        let (Some(configuration), Some(compiled)) = (checked.configuration, checked.compiled)
        else {
            return Err(StartError::Configuration(text.trim_end().to_owned()));
        };
        for warning in text.lines().filter(|line| line.starts_with("warning")) {
            tracing::warn!("{}: {warning}", path.display());
        }
        let taken = |server: &&CodeServer| {
            configuration.servers.iter().any(|(name, _)| name.value == server.name)
        };
        let message = || format!("{} has a server of this name: write another", path.display());
        let errors: Vec<ServerError> = additions
            .servers
            .iter()
            .filter(taken)
            .map(|server| ServerError { server: server.name.clone(), message: message() })
            .collect();
        if errors.is_empty() {
            Ok((configuration, compiled))
        } else {
            Err(StartError::Servers(errors))
        }
    }

    /// What messages call it, and where its relative paths start.
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Text(_) => Path::new(TEXT),
        }
    }
}

/// What messages call a configuration that is no file.
const TEXT: &str = "(text)";

/// A text in place of the file that is read first.
struct InMemory<'a>(&'a str);

impl Files for InMemory<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new(TEXT) { Ok(self.0.to_owned()) } else { Disk.read(path) }
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        Disk.glob(base, pattern)
    }

    fn is_directory(&self, path: &Path) -> bool {
        Disk.is_directory(path)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        Disk.identity(path)
    }
}

/// Every default, and an access log only if asked: a library writes nothing by itself.
fn from_code(
    additions: &Additions,
    access_log: bool,
) -> Result<(Configuration, Compiled), StartError> {
    let defaults = Settings::parse("defaults = {}").and_then(|empty| empty.decode());
    let broken = |_| StartError::Configuration("the defaults do not decode".to_owned());
    let mut configuration: Configuration = defaults.map_err(broken)?;
    if !access_log {
        configuration.log.access = AccessLog::Off;
    }
    let process = Arc::new(Process::default());
    let (compiled, _) =
        compile(&configuration, &Sources::default(), &process, additions).map_err(broken)?;
    Ok((configuration, compiled))
}

/// A program's own threads wake event loops and pass descriptors on as they like, which nothing
/// could make safe across tables.
const NO_PRIVATE_DESCRIPTORS: &str = "process.private_descriptors is for `stead run` alone: take \
     it out of the configuration, or raise the limit of descriptors (LimitNOFILE=)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_one_table_of_descriptors() {
        let text = "[process]\nprivate_descriptors = true\n[server.web]\nlisten = [\":0\"]\n\
                    [[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n";
        let stead = Stead::from_text(text);
        let refused = stead.start_now().err().expect("refused");
        assert!(refused.to_string().contains("for `stead run` alone"), "{refused}");
    }

    #[test]
    fn requests_are_logged_only_where_it_is_asked_for() {
        for asked in [false, true] {
            let (configuration, _) = from_code(&Additions::default(), asked).expect("defaults");
            assert_eq!(configuration.log.access != AccessLog::Off, asked);
        }
    }
}
