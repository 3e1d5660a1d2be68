//! `listen`: the addresses of a server, each alone or as a table with options of its socket.
//!
//! Options are set on the listening socket, whose connections inherit them, so that none costs a
//! system call for each connection (tcp(7), socket(7)).

use crate::value::Content;
use crate::{
    Address, Config, Decoder, Diagnostic, Duration, Mode, Off, OneOrMany, Origin, Schema, Span,
    Spanned, Value,
};

/// One listener: an address, alone or with options.
#[derive(Clone, Debug, PartialEq, Config)]
#[config(shorthand = "address", check = fits_address)]
pub struct Listen {
    /// Where: `":8080"` (IPv6 and IPv4), `"127.0.0.1:8080"`, `"[::1]:8080"`, `"localhost:8080"`,
    /// `"unix:run/web.sock"`. Port 0 lets the system choose. Applies on restart.
    pub address: Spanned<Address>,
    /// Connections that may wait to be accepted, for each worker's socket; the system's
    /// `net.core.somaxconn` (usually 4096) caps it. Applies on restart.
    #[config(default = 4096, range = 1..=65_535)]
    pub backlog: u16,
    /// Probes to a peer that has been silent for so long, and the end of a connection whose peer
    /// does not answer them (`SO_KEEPALIVE`). Off by default: idle connections end by
    /// `timeouts.idle`, slow ones by `write_idle`; probes find a vanished peer of a tunnel, or
    /// where `idle` is off. TCP only. Applies on restart.
    #[config(default = "off")]
    pub tcp_keepalive: Spanned<Off<TcpKeepalive>>,
    /// How long what we sent may stay unacknowledged before the system ends the connection, in
    /// place of its about 15 minutes (`TCP_USER_TIMEOUT`); with `tcp_keepalive` it also decides how
    /// long probes may stay unanswered. TCP only. Applies on restart.
    #[config(default = "off", range = "1s"..="1d")]
    pub user_timeout: Spanned<Off<Duration>>,
    /// Who may connect to a unix socket: permissions in octal. Without it as the umask says, often
    /// `"0755"`, with which only the socket's own user may. Unix sockets only. Applies on restart.
    pub mode: Option<Spanned<Mode>>,
    /// The proxies in front that pass connections on with the PROXY protocol, version 1 or 2:
    /// networks and addresses, `"private"`, `"loopback"`, and `"unix"` for a unix socket. Each
    /// connection begins with the header, whose client counts as the peer; those without one, and
    /// from anybody else, are closed. Applies on restart.
    pub proxy_protocol: Option<Spanned<Proxies>>,
    /// The certificates, by the names of `[tls.NAME]`: a client gets the one that is good for the
    /// name which it asks for, else the first. `"auto"` has an authority issue them (`[acme]`),
    /// `"self_signed"` makes one for development, `"off"` is for connections in the clear. Applies
    /// on restart.
    #[config(default = "off")]
    pub tls: CertificateNames,
    /// Whether HTTP/2 is spoken here too: with TLS where the client chooses it, without it where
    /// the client begins with it. Applies on restart.
    #[config(default = true)]
    pub http2: bool,
}

impl Listen {
    /// Whether its connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.0.iter().any(|name| name.value != "off")
    }

    /// The certificates that it names; none where it speaks in the clear.
    pub fn certificates(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.tls.0.iter().filter(|name| name.value != "off")
    }
}

/// Probes to a peer that is silent; a duration alone is `idle`. Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Config)]
#[config(shorthand = "idle", check = whole_seconds)]
pub struct TcpKeepalive {
    /// Silence before the first probe, in whole seconds.
    #[config(range = "1s"..="9h")]
    pub idle: Duration,
    /// Between two probes, in whole seconds.
    #[config(default = "15s", range = "1s"..="9h")]
    pub interval: Duration,
    /// Probes without an answer that end the connection.
    #[config(default = 4, range = 1..=127)]
    pub count: u8,
}

/// From whom a listener takes connections; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies(pub Vec<Origin>);

impl Config for Proxies {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        // `on`, as others say, would let anybody write whose connection it is.
        if let Some(word @ ("on" | "true" | "yes")) = value.as_str() {
            let message = format!("`proxy_protocol` names the proxies, and \"{word}\" is none");
            let help = "name them, as in `[\"10.0.0.0/8\"]`";
            decoder.report(Diagnostic::error(value.span, message).help(help));
            return None;
        }
        let origins = Vec::<Origin>::decode(value, decoder)?;
        if value.as_list().is_some_and(<[_]>::is_empty) {
            let message = "`proxy_protocol` names no proxy, so that nobody can connect";
            let help = "name the proxies, as in `[\"10.0.0.0/8\"]`, or remove `proxy_protocol`";
            decoder.report(Diagnostic::error(value.span, message).help(help));
        }
        // What is wrong with those that are missing was reported.
        (!origins.is_empty()).then_some(Self(origins))
    }

    fn schema() -> Schema {
        Vec::<Origin>::schema()
    }
}

/// The certificates of a listener, by name; one stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames(pub Vec<Spanned<String>>);

impl Config for CertificateNames {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let help = match &value.content {
            Content::Boolean(true) => {
                "write the name of a `[tls.NAME]`, `\"auto\"` or `\"self_signed\"`"
            }
            Content::Boolean(false) => "write `\"off\"`",
            Content::Table(_) => "write it as `[tls.main]`, and `\"main\"` here",
            _ => return OneOrMany::decode(value, decoder).map(|OneOrMany(names)| Self(names)),
        };
        decoder.wrong_type(value, &Self::schema(), Some(help.to_owned()));
        None
    }

    fn schema() -> Schema {
        OneOrMany::<Spanned<String>>::schema()
    }
}

/// A unix socket has no TCP beneath it, and a port no permissions.
fn fits_address(listen: &Listen, _: Span, decoder: &mut Decoder<'_>) {
    if let Some(proxies) = &listen.proxy_protocol {
        reaches_anybody(&listen.address.value, proxies, decoder);
    }
    if !matches!(listen.address.value, Address::Unix(_)) {
        if let Some(mode) = &listen.mode {
            let message = format!("`mode` is of unix sockets, and {} is TCP", listen.address.value);
            decoder.report(Diagnostic::error(mode.span, message).help("remove `mode`"));
        }
        return;
    }
    let keepalive = listen.tcp_keepalive.value.0.map(|_| ("tcp_keepalive", &listen.tcp_keepalive));
    let keepalive = keepalive.map(|(key, value)| (key, value.span));
    let timeout = listen.user_timeout.value.0.map(|_| ("user_timeout", listen.user_timeout.span));
    for (key, span) in keepalive.into_iter().chain(timeout) {
        let message = format!("`{key}` is of TCP, and {} is a unix socket", listen.address.value);
        decoder.report(Diagnostic::error(span, message).help(format!("remove `{key}`")));
    }
}

/// A listener whose proxies cannot come to it closes every connection.
fn reaches_anybody(address: &Address, proxies: &Spanned<Proxies>, decoder: &mut Decoder<'_>) {
    let is_unix = matches!(address, Address::Unix(_));
    if proxies.0.iter().any(|origin| matches!(origin, Origin::Unix) == is_unix) {
        return;
    }
    let (message, help) = if is_unix {
        let message = format!("{address} is a unix socket, to which no network connects");
        (message, "write `[\"unix\"]`")
    } else {
        let message = format!("{address} is TCP, to which no unix socket connects");
        (message, "name the proxies, as in `[\"10.0.0.0/8\"]`")
    };
    decoder.report(Diagnostic::error(proxies.span, message).help(help));
}

/// The system counts these in seconds.
fn whole_seconds(keepalive: &TcpKeepalive, span: Span, decoder: &mut Decoder<'_>) {
    for (key, value) in [("idle", keepalive.idle), ("interval", keepalive.interval)] {
        if value.subsec_nanos() != 0 {
            let help = format!("write `\"{}s\"`", value.as_secs().max(1));
            let message = format!("`{key}` of TCP keep-alive counts whole seconds");
            decoder.report(Diagnostic::error(span, message).help(help));
        }
    }
}
