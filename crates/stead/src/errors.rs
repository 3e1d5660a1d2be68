//! Why nothing was started: all that stood in the way, for people and for programs.

use std::fmt;
use std::io;

use crate::bind::BindError;
use crate::runtime::RuntimeError;

/// Why nothing was started. Nothing is left bound. Its `Debug` is its text too, so that a `main`
/// which returns it tells people what is wrong.
///
/// ```
/// # use stead::{StartError, Stead};
/// # async fn example(stead: Stead) {
/// match stead.start().await {
///     Ok(running) => running.wait().await,
///     Err(StartError::Bind(errors)) => errors.iter().for_each(|error| eprintln!("{error}")),
///     Err(error) => eprintln!("{error}"),
/// }
/// # }
/// ```
pub enum StartError {
    /// The configuration has errors: all of them, as `stead check` prints them.
    Configuration(String),
    /// Servers made in code cannot start as they are, all of them.
    Servers(Vec<ServerError>),
    /// Kinds that the program adds under a name that another kind has, all of them.
    Kinds(Vec<KindError>),
    /// Addresses that could not be had and sockets that nobody uses, all of them.
    Bind(Vec<BindError>),
    /// The runtime directory could not be used.
    Runtime(RuntimeError),
    /// Something of the system failed: what was being done, and why.
    System(String, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(text) => f.write_str(text),
            Self::Servers(errors) => lines(f, errors),
            Self::Kinds(errors) => lines(f, errors),
            Self::Bind(errors) => lines(f, errors),
            Self::Runtime(error) => write!(f, "{error}"),
            Self::System(doing, error) => write!(f, "{doing}: {error}"),
        }
    }
}

fn lines(f: &mut fmt::Formatter<'_>, errors: &[impl fmt::Display]) -> fmt::Result {
    for (index, error) in errors.iter().enumerate() {
        let end = if index + 1 < errors.len() { "\n" } else { "" };
        write!(f, "{error}{end}")?;
    }
    Ok(())
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartError {}

impl From<StartError> for io::Error {
    /// Of the first cause's kind, so that an address in use is known as such.
    fn from(error: StartError) -> Self {
        let kind = match &error {
            StartError::Bind(errors) => errors.first().map(BindError::kind),
            StartError::System(_, error) => Some(error.kind()),
            StartError::Configuration(_) | StartError::Servers(_) | StartError::Kinds(_) => {
                Some(io::ErrorKind::InvalidInput)
            }
            StartError::Runtime(_) => None,
        };
        Self::new(kind.unwrap_or(io::ErrorKind::Other), error)
    }
}

/// A kind of the program's own whose name another kind has: neither could be told from the other.
///
/// ```
/// # use stead::KindError;
/// let error = KindError { sort: "handler", name: "files".to_owned() };
/// assert_eq!(
///     error.to_string(),
///     "the handler kind \"files\" is there already: give this one another name"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {sort} kind {name:?} is there already: give this one another name")]
pub struct KindError {
    /// `handler` or `middleware`.
    pub sort: &'static str,
    /// The name.
    pub name: String,
}

/// A server made in code that cannot start as it is.
///
/// ```
/// # use stead::{Server, StartError, Stead};
/// # #[tokio::main]
/// # async fn main() {
/// let started = Stead::new().server(Server::new("web").listen(":0")).start().await;
/// let Err(StartError::Servers(errors)) = started else { panic!("nothing answers") };
/// assert_eq!(errors[0].server, "web");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", subject(server))]
pub struct ServerError {
    /// The server's name; empty where there is no server at all.
    pub server: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

fn subject(server: &str) -> String {
    if server.is_empty() { "nothing to serve".to_owned() } else { format!("server {server}") }
}
