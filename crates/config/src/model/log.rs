//! `[log]`: Stead's own log and the access log, as the operator wrote them.
//!
//! What a template's placeholders mean is known to whoever writes the log, not here.

use std::path::PathBuf;

use crate::{Config, Duration, Off, Spanned, Template};

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct Log {
    /// The least level that Stead's own log shows, for all of it or by module. It goes to stderr;
    /// `stead log level` changes it while Stead runs.
    #[config(default)]
    pub level: Levels,
    /// Where the access log goes.
    #[config(default = "stdout")]
    pub access: AccessLog,
    /// The form of the access log.
    #[config(default = "auto")]
    pub format: LogFormat,
    /// Which records of the access log are written.
    #[config(default)]
    pub sample: Sample,
    /// What the access log shows as `***`.
    #[config(default)]
    pub redact: Redact,
}

/// How much Stead's own log says, by module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
#[config(shorthand = "default")]
pub struct Levels {
    /// For modules without a level of their own.
    #[config(default = "info")]
    pub default: Level,
    /// The process: its start, its signals, its end.
    pub process: Option<Level>,
    /// Workers, listeners, connections, exchanges.
    pub serve: Option<Level>,
    /// The writer of the access log.
    pub log: Option<Level>,
    /// What is asked on the admin socket.
    pub admin: Option<Level>,
}

/// A part of Stead whose level can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The process: its start, its signals, its end.
    Process,
    /// Workers, listeners, connections, exchanges.
    Serve,
    /// The writer of the access log.
    Log,
    /// What is asked on the admin socket.
    Admin,
}

impl Module {
    /// Every module.
    pub const ALL: [Self; 4] = [Self::Process, Self::Serve, Self::Log, Self::Admin];

    /// Its name in the configuration and in a line of the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Serve => "serve",
            Self::Log => "log",
            Self::Admin => "admin",
        }
    }

    /// The module of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|module| module.as_str() == name)
    }
}

impl Levels {
    /// The level that counts for a module.
    pub fn of(&self, module: Module) -> Level {
        let own = match module {
            Module::Process => self.process,
            Module::Serve => self.serve,
            Module::Log => self.log,
            Module::Admin => self.admin,
        };
        own.unwrap_or(self.default)
    }

    /// Sets the level of a module; without one, of all of them.
    pub fn set(&mut self, module: Option<Module>, level: Level) {
        match module {
            None => {
                *self = Self { default: level, process: None, serve: None, log: None, admin: None };
            }
            Some(Module::Process) => self.process = Some(level),
            Some(Module::Serve) => self.serve = Some(level),
            Some(Module::Log) => self.log = Some(level),
            Some(Module::Admin) => self.admin = Some(level),
        }
    }

    /// The most that any module says.
    pub fn most(&self) -> Level {
        let own = Module::ALL.into_iter().map(|module| self.of(module));
        own.fold(self.default, Level::max)
    }
}

/// How much Stead's own log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Config)]
pub enum Level {
    /// What failed.
    Error,
    /// And what will probably fail.
    Warn,
    /// And what happened: the log opened again, a level changed, a drain that ended.
    Info,
    /// And each connection: opened, refused, closed and why; why a handler failed.
    Debug,
    /// And each exchange.
    Trace,
}

impl Level {
    /// Every level, the quietest first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of a word.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq, Config)]
pub enum AccessLog {
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// Nowhere.
    Off,
    /// To a file, reopened on SIGUSR1 and by `stead log reopen`.
    File {
        /// The file; its directory must exist. A new one gets the mode 0640, less what the umask
        /// takes.
        file: Spanned<PathBuf>,
    },
}

/// The form of the access log.
#[derive(Clone, Debug, PartialEq, Eq, Config)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// Columns for people.
    Text,
    /// The Common Log Format.
    Common,
    /// The Common Log Format with referer and user agent.
    Combined,
    /// Lines of your own.
    Template {
        /// The line: text with placeholders such as `{path}`, `{status}`, `{header_user_agent}`.
        template: Template,
        /// How what a request carries is kept from ending a field or a line.
        #[config(default = "text")]
        escape: Escape,
    },
}

/// How what a request carries is kept from ending a field or a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum Escape {
    /// Bytes that could end the field become `\xHH`; what is empty is `-`.
    Text,
    /// As inside a JSON string.
    Json,
}

/// Which records are written.
#[derive(Clone, Debug, PartialEq, Config)]
#[config(shorthand = "one_in")]
pub struct Sample {
    /// One of so many is written, and says how many it stands for (`common` and `combined` have no
    /// place for that). Requests of one `request_id` are decided alike everywhere.
    #[config(default = 1, range = 1..=1_000_000)]
    pub one_in: u32,
    /// Written in any case: classes of statuses, and answers that were cut.
    #[config(default = ["4xx", "5xx", "cut"])]
    pub always: Vec<Always>,
    /// Written in any case: exchanges that took so long.
    #[config(default = "1s", range = "1ms"..="30d")]
    pub slow: Off<Duration>,
}

/// Records that are always written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum Always {
    /// Protocol switches.
    #[config(name = "1xx")]
    Informational,
    /// Successes.
    #[config(name = "2xx")]
    Success,
    /// Redirects, and 304.
    #[config(name = "3xx")]
    Redirection,
    /// What the client did wrong.
    #[config(name = "4xx")]
    ClientError,
    /// What failed here.
    #[config(name = "5xx")]
    ServerError,
    /// Answers that were not sent whole, or not at all.
    Cut,
}

// Bearer tokens: RFC 6750 §2.3 and RFC 6749 §2.3.1. Signatures: whoever holds the address of
// something signed holds what it opens.
/// What the access log shows as `***`. A list takes the place of its default.
#[derive(Clone, Debug, PartialEq, Eq, Config)]
pub struct Redact {
    /// Keys of a query, in path, query and referer. Case, percent-encoding, an index in brackets,
    /// and which of `_`, `-` and `.` stands in a key make no difference.
    #[config(default = [
        "access_token", "refresh_token", "id_token", "token", "client_secret", "secret",
        "password", "passwd", "api_key", "apikey", "sig", "signature", "x_amz_signature",
        "x_amz_security_token", "x_goog_signature"
    ])]
    pub query: Vec<Spanned<String>>,
    /// Header fields, of requests and answers.
    #[config(default = ["authorization", "proxy-authorization", "cookie", "set-cookie"])]
    pub headers: Vec<Spanned<String>>,
}
