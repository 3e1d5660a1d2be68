//! The typed configuration: what the operator wrote, every default filled in, plain data.
//!
//! Declared once: decoding, the schema, the reference and the full printing all come from these
//! types. Component settings stay undecoded ([`Settings`]); their kinds decode them.

use crate::{
    ByteSize, Config, Decoder, Duration, Frequency, Map, MemoryBudget, Off, Rate, Schema, Settings,
    Spanned, TextForm, TrustedProxies, Value,
};

mod acme;
mod handler;
mod listen;
mod log;
mod middleware;
mod scope;
mod tls;

pub use acme::{Acme, AcmeBinding, AcmeKey, DirectoryUrl, Email};
pub use handler::HandlerConfig;
pub use listen::{CertificateNames, Listen, Proxies, TcpKeepalive};
pub use log::{AccessLog, Always, Escape, Level, Levels, Log, LogFormat, Module, Redact, Sample};
pub use middleware::{MiddlewareConfig, MiddlewareRef, effective_middleware};
pub use scope::{
    ErrorPages, ErrorStatus, Placed, ScopeLimits, ScopeTimeouts, ServerRedirect, Switch,
    UnknownHost,
};
pub use tls::{TlsClients, TlsConfig, TlsVersion};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct Configuration {
    // Empty once they are merged: the document knows the files.
    /// Files that are merged in: paths and patterns, relative to the file that names them.
    #[config(default = [])]
    pub include: Vec<String>,
    /// The process as a whole.
    #[config(default)]
    pub process: Process,
    /// What is logged, and where.
    #[config(default)]
    pub log: Log,
    /// The servers by name. Each has its own listeners, routes, limits and timeouts.
    #[config(default, name = "server")]
    pub servers: Map<ServerConfig>,
    /// Named configurations of middleware kinds.
    #[config(default, with_middleware)]
    pub middleware: Map<MiddlewareConfig>,
    /// Certificates by name.
    #[config(default)]
    pub tls: Map<TlsConfig>,
    /// Where listeners with `tls = "auto"` get their certificates.
    #[config(default)]
    pub acme: Acme,
}

impl Configuration {
    /// How many routes there are, those of sites included.
    pub fn route_count(&self) -> usize {
        self.servers.iter().map(|(_, server)| server.route_count()).sum()
    }
}

/// The process as a whole.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct Process {
    /// Event loops, one thread each. Applies on restart.
    #[config(default = "auto", range = 1..=1024)]
    pub workers: Workers,
    /// Whether each worker has a descriptor table of its own, so that the limit of descriptors
    /// counts for each of them and not for all: for machines where it cannot be raised. Applies on
    /// restart.
    #[config(default = false)]
    pub private_descriptors: bool,
    /// The memory that Stead keeps within: as it fills, idle connections are closed sooner, and
    /// where that does not help new requests get 503. `"auto"` is what the control group and the
    /// machine allow, `"80%"` a share of that, `"512MiB"` at most so much (16 MiB at least);
    /// `"off"` does not look at memory. Applies on restart.
    #[config(default = "auto")]
    pub memory: MemoryBudget,
    /// How long work may take to end when Stead stops.
    #[config(default)]
    pub drain: Drain,
    /// The name of this Stead, of letters, digits, `-` and `_`: where its sockets are. Derived from
    /// the path of the configuration file, so that two files never meet. Applies on restart.
    pub name: Option<Spanned<String>>,
}

/// How many event loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum Workers {
    /// One for each usable core.
    Auto,
    /// This many.
    Count(u16),
}

/// How long work may take to end when Stead stops.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct Drain {
    /// How long listeners still accept while `health = "ready"` fails already, so that balancers
    /// send no more before connections are refused.
    #[config(default = "0s", range = "0s"..="1h")]
    pub before: Duration,
    /// For requests in flight; what is left then is cut.
    #[config(default = "25s", range = "0s"..="30d")]
    pub request: Duration,
}

/// One server: its listeners, its routes, and what it allows its peers.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct ServerConfig {
    /// At least one address: `":8080"` (IPv6 and IPv4), `"127.0.0.1:8080"`, `"[::1]:8080"`,
    /// `"localhost:8080"`, `"unix:run/web.sock"`; or a table: `{ address = ":8080", … }`.
    #[config(default = [])]
    pub listen: Vec<Listen>,
    /// How long the server waits for a peer.
    #[config(default)]
    pub timeouts: Placed<stead_base::Timeouts>,
    /// What one peer and all together may take.
    #[config(default)]
    pub limits: Placed<stead_base::Limits>,
    /// Proxies in front of the server: what they say of the client's address and scheme counts,
    /// and what anybody else says of them is taken out.
    #[config(default)]
    pub trusted_proxies: TrustedProxies,
    /// Pages in place of our own error answers, by status (`404`) or class (`5xx`): read at start,
    /// at most 1 MiB each.
    #[config(default)]
    pub errors: ErrorPages,
    /// What a host gets that belongs to no site, where there are sites.
    #[config(default = "routes")]
    pub unknown_host: UnknownHost,
    /// Sends requests that came in the clear elsewhere; what a trusted proxy received over TLS
    /// goes on to the routes.
    pub redirect: Option<Spanned<ServerRedirect>>,
    /// For every route of the server, outermost first: kinds or names of `[middleware.NAME]`.
    #[config(default = [], with_middleware)]
    pub middleware: Vec<MiddlewareRef>,
    /// Routes that serve any host.
    #[config(default = [], name = "route")]
    pub routes: Vec<RouteConfig>,
    /// Routes of some hosts, by name; they come before the server's own.
    #[config(default, name = "site")]
    pub sites: Map<SiteConfig>,
}

impl ServerConfig {
    /// How many routes there are, those of sites included.
    pub fn route_count(&self) -> usize {
        let of_sites: usize = self.sites.iter().map(|(_, site)| site.routes.len()).sum();
        // The redirect answers like a route.
        self.routes.len() + of_sites + usize::from(self.redirect.is_some())
    }
}

/// The routes of some hosts inside a server.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct SiteConfig {
    /// At least one host name; `"*.example.com"` takes every name below.
    #[config(default = [])]
    pub hosts: Vec<Spanned<String>>,
    /// For every route of the site, inside the server's.
    #[config(default = [], with_middleware)]
    pub middleware: Vec<MiddlewareRef>,
    /// Overrides the server's, key by key.
    #[config(default)]
    pub timeouts: Placed<ScopeTimeouts>,
    /// Overrides the server's, key by key.
    #[config(default)]
    pub limits: Placed<ScopeLimits>,
    /// Pages in place of our own error answers, before the server's.
    #[config(default)]
    pub errors: ErrorPages,
    /// Whether requests to the site are written to the access log.
    #[config(default = "on")]
    pub access_log: Spanned<Switch>,
    /// The routes of the site; at least one.
    #[config(default = [], name = "route")]
    pub routes: Vec<RouteConfig>,
}

/// What matches a request, and the handler that answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// What the path must be.
    pub pattern: Pattern,
    /// The methods that it takes; every one if there is none.
    pub methods: Vec<Spanned<String>>,
    /// Header fields that must be there, names in lower case.
    pub headers: Map<Matcher>,
    /// Query parameters that must be there.
    pub query: Map<Matcher>,
    /// Inside the site's and the server's; `"-name"` takes an inherited one out.
    pub middleware: Vec<MiddlewareRef>,
    /// What holds for this route only.
    pub own: RouteOwn,
    /// What answers.
    pub handler: HandlerConfig,
    /// Where the route stands: its header. Does not count when routes are compared.
    pub place: Spanned<()>,
}

/// What a route says differently from its site and server.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteOwn {
    /// Key by key.
    pub timeouts: Placed<ScopeTimeouts>,
    /// Key by key.
    pub limits: Placed<ScopeLimits>,
    /// Before the site's.
    pub errors: ErrorPages,
    /// Whether its requests are logged; as its site says unless written.
    pub access_log: Option<Spanned<Switch>>,
}

/// What a route's path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Segments, `{name}` for one, `{*name}` for the rest.
    Path(Spanned<String>),
    /// An expression that the path matches from its start.
    Regex(Spanned<String>),
}

impl Pattern {
    /// As written.
    pub fn text(&self) -> &Spanned<String> {
        match self {
            Self::Path(text) | Self::Regex(text) => text,
        }
    }
}

/// What a header field or query parameter must be.
#[derive(Clone, Debug, PartialEq, Eq, Config)]
pub enum Matcher {
    /// Exactly this.
    Exact(Spanned<String>),
    /// Something that an expression matches.
    Regex {
        /// The expression, matched anywhere in the value.
        regex: Spanned<String>,
    },
}

/// What matches a request, and the handler that answers it. The order of routes does not matter.
#[derive(Config)]
struct RouteTable {
    /// The path, `/` first: `{name}` takes one segment, `{*name}` at the end the rest. Either
    /// `path` or `regex`.
    path: Option<Spanned<String>>,
    /// An expression that the canonical path matches from its start.
    regex: Option<Spanned<String>>,
    /// The methods that the route takes; without it every one.
    methods: Option<Methods>,
    /// Header fields that must be there, each with its value.
    #[config(default)]
    headers: Headers,
    /// Query parameters that must be there, each with its value.
    #[config(default)]
    query: Map<Matcher>,
    /// Inside the site's and the server's; `"-name"` takes an inherited one out.
    #[config(default = [], with_middleware)]
    middleware: Vec<MiddlewareRef>,
    /// Overrides the site's and the server's, key by key.
    #[config(default)]
    timeouts: Placed<ScopeTimeouts>,
    /// Overrides the site's and the server's, key by key.
    #[config(default)]
    limits: Placed<ScopeLimits>,
    /// Pages in place of our own error answers, before the site's.
    #[config(default)]
    errors: ErrorPages,
    /// Whether requests to the route are written to the access log; as the site says unless given.
    access_log: Option<Spanned<Switch>>,
    #[config(rest)]
    handler: HandlerConfig,
}

impl Config for RouteConfig {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        // Looked at apart, so that a missing handler does not hide it.
        let has_pattern = crate::check::pattern(value, decoder);
        let table = decoder.within("route", |decoder| RouteTable::decode(value, decoder))?;
        let pattern = match (table.path, table.regex) {
            (Some(path), None) if has_pattern => Pattern::Path(path),
            // As it was meant, so that what stands beside it is looked at in the same run.
            (Some(path), None) => {
                let meant = format!("/{}", path.value);
                let is_path = meant.bytes().all(|b| b.is_ascii_graphic() && !b"~^=".contains(&b));
                Pattern::Path(is_path.then(|| Spanned::new(meant, path.span))?)
            }
            (None, Some(regex)) => Pattern::Regex(regex),
            _ => return None,
        };
        Some(Self {
            pattern,
            methods: table.methods.map(|methods| methods.0).unwrap_or_default(),
            headers: table.headers.0,
            query: table.query,
            middleware: table.middleware,
            own: RouteOwn {
                timeouts: table.timeouts,
                limits: table.limits,
                errors: table.errors,
                access_log: table.access_log,
            },
            handler: table.handler,
            place: Spanned::new((), value.span),
        })
    }

    fn schema() -> Schema {
        RouteTable::schema()
    }
}

/// Methods, each a token, none twice.
struct Methods(Vec<Spanned<String>>);

impl Config for Methods {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let methods = Vec::decode(value, decoder)?;
        crate::check::methods(value, &methods, decoder);
        Some(Self(methods))
    }

    fn schema() -> Schema {
        Schema::List(Box::new(Schema::Text(TextForm::new("method", "GET"))))
    }
}

/// Header names with what their values must be, names in lower case.
struct Headers(Map<Matcher>);

impl Config for Headers {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let mut headers = Map::<Matcher>::decode(value, decoder)?;
        crate::check::header_matchers(&headers, decoder);
        headers.0.iter_mut().for_each(|(name, _)| name.value.make_ascii_lowercase());
        Some(Self(headers))
    }

    fn schema() -> Schema {
        Map::<Matcher>::schema()
    }
}

// `stead_base` holds the defaults too; a test keeps them equal.
/// How long the server waits for a peer; `"off"` waits for ever.
#[derive(Config)]
struct TimeoutsTable {
    /// From accept to the first byte.
    #[config(default = "10s", range = "1ms"..="30d")]
    first_byte: Off<Duration>,
    /// From a TLS handshake's first byte to its last.
    #[config(default = "20s", range = "1ms"..="30d")]
    tls_handshake: Off<Duration>,
    /// From a head's first byte to its last.
    #[config(default = "10s", range = "1ms"..="30d")]
    header: Off<Duration>,
    /// Between two reads of a body.
    #[config(default = "30s", range = "1ms"..="30d")]
    body_idle: Off<Duration>,
    /// The least mean rate of a body, over the last 10 s in which we waited for it.
    #[config(default = "240B/s", range = "1B/s"..="1TB/s")]
    body_rate: Off<Rate>,
    /// Without the peer acknowledging a byte that we sent.
    #[config(default = "30s", range = "1ms"..="30d")]
    write_idle: Off<Duration>,
    /// The least mean rate at which the peer takes bytes, over the last 10 s in which we waited.
    #[config(default = "240B/s", range = "1B/s"..="1TB/s")]
    write_rate: Off<Rate>,
    /// Between an answer and the next request's first byte.
    #[config(default = "75s", range = "1ms"..="30d")]
    idle: Off<Duration>,
    /// From a head's last byte to the answer's last.
    #[config(default = "off", range = "1ms"..="30d")]
    request: Off<Duration>,
    /// From accept until a connection is kept no longer: the next answer says `Connection: close`,
    /// and one that rests is closed. Each connection's own age is up to 10 % more or less, so that
    /// not all reconnect at once. Off by default: nothing of a connection grows with its age. Set
    /// it where clients must spread anew over several machines. Applies to new connections.
    #[config(default = "off", range = "1s"..="30d")]
    connection_age_max: Off<Duration>,
}

impl Config for stead_base::Timeouts {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let table = TimeoutsTable::decode(value, decoder)?;
        Some(Self {
            first_byte: table.first_byte.0,
            tls_handshake: table.tls_handshake.0,
            header: table.header.0,
            body_idle: table.body_idle.0,
            body_rate: table.body_rate.0,
            write_idle: table.write_idle.0,
            write_rate: table.write_rate.0,
            idle: table.idle.0,
            request: table.request.0,
            connection_age_max: table.connection_age_max.0,
        })
    }

    fn schema() -> Schema {
        TimeoutsTable::schema()
    }
}

// `stead_base` holds the defaults too; a test keeps them equal.
/// What one peer and all together may take; `"off"` lifts a limit.
#[derive(Config)]
struct LimitsTable {
    /// Connections of the server, all workers together.
    #[config(default = "off", range = 1..=4_294_967_295)]
    connections: Off<u32>,
    /// Connections from one IPv4 address or one IPv6 /64.
    #[config(default = "off", range = 1..=4_294_967_295)]
    connections_per_ip: Off<u32>,
    /// New connections from one IPv4 address or one IPv6 /64: `"20/s"` lets 20 come at once, and
    /// then one every 50 ms. What is beyond is closed before anything of it is read. Whoever shares
    /// an address with many others, behind a carrier's gateway, shares its allowance too.
    #[config(default = "off")]
    connection_rate_per_ip: Off<Frequency>,
    /// Bytes of a head.
    #[config(default = "32KiB", range = "1KiB"..="1MiB")]
    header_size: ByteSize,
    /// Fields of a head.
    #[config(default = 100, range = 1..=1000)]
    header_count: u16,
    /// Bytes of a request target.
    #[config(default = "8KiB", range = "256B"..="64KiB")]
    uri: ByteSize,
    /// Bytes of a request body.
    #[config(default = "off")]
    body: Off<ByteSize>,
    /// Requests that one connection may carry; the last answer says `Connection: close`. Off by
    /// default: nothing of a connection grows with its requests.
    #[config(default = "off", range = 1..=4_294_967_295)]
    keepalive_requests: Off<u32>,
    /// Requests of one HTTP/2 connection at a time, also those that the client has given up while
    /// their handlers still run.
    #[config(default = 128, range = 1..=1000)]
    http2_streams: u16,
}

impl Config for stead_base::Limits {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let table = LimitsTable::decode(value, decoder)?;
        Some(Self {
            connections: table.connections.0,
            connections_per_ip: table.connections_per_ip.0,
            connection_rate_per_ip: table.connection_rate_per_ip.0,
            header_size: table.header_size,
            header_count: table.header_count,
            uri: table.uri,
            body: table.body.0,
            keepalive_requests: table.keepalive_requests.0,
            http2_streams: table.http2_streams,
        })
    }

    fn schema() -> Schema {
        LimitsTable::schema()
    }
}

/// The settings of a component with the place where its kind is named.
pub(crate) fn component(name: &str, value: Value, decoder: &Decoder<'_>) -> Settings {
    Settings::new(name, value, decoder.sources().clone())
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    #[test]
    fn defaults_are_those_of_the_base_types() {
        let empty = Settings::parse("timeouts = {}").unwrap();
        assert_eq!(empty.decode().ok(), Some(stead_base::Timeouts::default()));
        assert_eq!(empty.decode().ok(), Some(stead_base::Limits::default()));
    }
}
