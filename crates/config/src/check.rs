//! What must hold between values, beyond the type of each.
//!
//! Checks that need only this crate's knowledge: patterns, addresses, hosts, names. What a path
//! pattern or an expression may be in detail, and which routes conflict, is the router's to say; it
//! reports at the places kept here.

use crate::foreign;
use crate::model::{
    Configuration, Listen, Matcher, MiddlewareRef, RouteConfig, ServerConfig, SiteConfig,
};
use crate::near::nearest;
use crate::schema::{alternatives, quoted};
use crate::value::{Content, Table};
use crate::{Decoder, Diagnostic, Map, Span, Spanned, Value};

/// Longest name of a server, a site or a process, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Checks a whole configuration. `root` is what it was decoded from: what is wrong and was left out
/// is not missing.
pub(crate) fn check(configuration: &Configuration, root: &Table, decoder: &mut Decoder<'_>) {
    if let Some(name) = &configuration.process.name {
        self::name("the process", name, decoder);
    }
    if is_empty(root, &["server"]) && !decoder.has_gaps() {
        let span = decoder.sources().files().next().map(|file| Span::new(file, 0..0));
        let help = "add `[server.web]` with `listen = [\":8080\"]` and a `[[server.web.route]]`";
        decoder.report(Diagnostic::error(span, "no server is configured").help(help));
    }
    for (name, _) in &configuration.tls {
        self::name("a certificate", name, decoder);
    }
    for (name, server) in &configuration.servers {
        self::name("a server", name, decoder);
        Server { root, name, server }.check(decoder);
    }
    addresses(configuration, decoder);
    crate::certificates::check(configuration, root, decoder);
    crate::acme::check(configuration, root, decoder);
    for (name, middleware) in &configuration.middleware {
        self::name("middleware", name, decoder);
        let settings = &middleware.settings.0;
        match decoder.vocabulary().middleware_kind(&middleware.kind) {
            Some(kind) => validate((kind.validate)(settings), decoder),
            None => unknown_middleware("kind", &middleware.kind, &[], decoder),
        }
    }
}

struct Server<'a> {
    root: &'a Table,
    name: &'a Spanned<String>,
    server: &'a ServerConfig,
}

impl Server<'_> {
    fn check(&self, decoder: &mut Decoder<'_>) {
        let lists = [self.server.middleware.as_slice()];
        middleware(self.root, &lists, decoder);
        let name = self.name;
        let lacks = |key: &str| is_empty(self.root, &["server", name, key]);
        if lacks("listen") && !decoder.has_gaps() {
            let message = format!("the server `{}` listens nowhere", name.value);
            let help = "add `listen = [\":8080\"]`";
            decoder.report(Diagnostic::error(name.span, message).help(help));
        }
        if let Some(redirect) = &self.server.redirect {
            let reaches_routes = !self.server.trusted_proxies.networks.is_empty()
                || self.server.listen.iter().any(Listen::is_encrypted);
            if !(lacks("route") && lacks("site") || reaches_routes || decoder.has_gaps()) {
                let message = "with this `redirect` no request reaches the routes";
                let help = "give a listener certificates by `tls`, name the proxy that speaks TLS \
                            in `trusted_proxies`, or take `redirect` out";
                decoder.report(Diagnostic::error(redirect.span, message).help(help));
            }
        } else if lacks("route") && lacks("site") && !decoder.has_gaps() {
            let message = format!("the server `{}` has no routes", name.value);
            let help = format!("add `[[server.{}.route]]`", name.value);
            decoder.report(Diagnostic::error(name.span, message).help(help));
        }
        routes(self.root, &lists, &self.server.routes, decoder);
        hosts(self.server, decoder);
        for (name, site) in &self.server.sites {
            self.site(name, site, decoder);
        }
    }

    fn site(&self, name: &Spanned<String>, site: &SiteConfig, decoder: &mut Decoder<'_>) {
        self::name("a site", name, decoder);
        let lacks = |key: &str| is_empty(self.root, &["server", self.name, "site", name, key]);
        if lacks("hosts") && !decoder.has_gaps() {
            let message = format!("the site `{}` has no hosts", name.value);
            let help = "add `hosts = [\"example.com\"]`";
            decoder.report(Diagnostic::error(name.span, message).help(help));
        }
        if lacks("route") && !decoder.has_gaps() {
            let message = format!("the site `{}` has no routes", name.value);
            let help = format!("add `[[server.{}.site.{}.route]]`", self.name.value, name.value);
            decoder.report(Diagnostic::error(name.span, message).help(help));
        }
        let lists = [self.server.middleware.as_slice(), site.middleware.as_slice()];
        middleware(self.root, &lists, decoder);
        routes(self.root, &lists, &site.routes, decoder);
    }
}

/// Whether nothing stands at a path of keys, or an empty list or table.
fn is_empty(root: &Table, keys: &[&str]) -> bool {
    let Some((first, keys)) = keys.split_first() else { return root.is_empty() };
    match root.value(first).map(|value| &value.content) {
        None => true,
        Some(Content::Table(table)) => is_empty(table, keys),
        Some(Content::List(list)) => list.is_empty(),
        Some(_) => false,
    }
}

fn routes(
    root: &Table,
    outer: &[&[MiddlewareRef]],
    routes: &[RouteConfig],
    decoder: &mut Decoder<'_>,
) {
    for route in routes.iter().filter(|route| !route.middleware.is_empty()) {
        let lists: Vec<&[MiddlewareRef]> =
            outer.iter().copied().chain([route.middleware.as_slice()]).collect();
        middleware(root, &lists, decoder);
    }
}

/// Checks the last of `lists`; the others are what it inherits.
fn middleware(root: &Table, lists: &[&[MiddlewareRef]], decoder: &mut Decoder<'_>) {
    let Some((list, inherited)) = lists.split_last() else { return };
    for (at, item) in list.iter().enumerate() {
        if let Some(first) = list[..at].iter().find(|known| known.name == item.name) {
            let message = format!("`{}` is named twice", item.name.value);
            decoder.report(twice(message, item.name.span, first.name.span));
        } else if item.removes {
            removal(inherited, item, decoder);
        } else {
            if !item.is_inline {
                named(root, item, decoder);
            }
            // SECURITY: the last would silently take the place of the others.
            let kind = kind_of(root, item);
            let mut earlier = list[..at].iter().filter(|known| !known.removes);
            if let Some(first) = earlier.find(|known| kind_of(root, known) == kind) {
                let (first, second) = (&first.name, &item.name);
                let kind = kind.escape_debug();
                let message = format!("`{}` and `{}` are both `{kind}`", first.value, second.value);
                decoder.report(twice(message, second.span, first.span));
            }
        }
    }
}

/// The kind behind a name, known or not.
fn kind_of<'a>(root: &'a Table, item: &'a MiddlewareRef) -> &'a str {
    let named = || {
        let table = root.value("middleware")?.as_table()?.value(&item.name)?.as_table()?;
        match &table.value("kind")?.content {
            Content::Text(kind) => Some(kind.value.as_str()),
            _ => None,
        }
    };
    let named = if item.is_inline { None } else { named() };
    named.unwrap_or(&item.name)
}

fn removal(inherited: &[&[MiddlewareRef]], item: &MiddlewareRef, decoder: &mut Decoder<'_>) {
    let outer = || inherited.iter().copied().flatten().filter(|outer| !outer.removes);
    if !outer().any(|outer| outer.name == item.name) {
        let near = nearest(&item.name, outer().map(|outer| outer.name.as_str()));
        let message = format!("`{}` is not inherited, so it cannot be taken out", item.name.value);
        let help = near.map(|near| format!("write `\"-{near}\"`"));
        decoder.report(Diagnostic::error(item.name.span, message).help_if(help));
    }
}

fn named(root: &Table, item: &MiddlewareRef, decoder: &mut Decoder<'_>) {
    let tables = root.value("middleware").and_then(Value::as_table);
    if tables.is_some_and(|tables| tables.entry(&item.name).is_some()) {
        return;
    }
    let Some(kind) = decoder.vocabulary().middleware_kind(&item.name) else {
        let names: Vec<&str> = tables.map(|tables| tables.names().collect()).unwrap_or_default();
        return unknown_middleware("middleware", &item.name, &names, decoder);
    };
    validate((kind.validate)(&item.settings), decoder);
}

pub(crate) fn unknown_middleware(
    what: &str,
    name: &Spanned<String>,
    names: &[&str],
    decoder: &mut Decoder<'_>,
) {
    let kinds = decoder.vocabulary().middleware.iter().map(|kind| kind.name);
    let known: Vec<&str> = kinds.chain(names.iter().copied()).collect();
    let help = match (nearest(name, known.iter().copied()), foreign::advice(name)) {
        (Some(near), _) => format!("write `\"{near}\"`"),
        (None, Some(advice)) => advice.to_owned(),
        (None, None) => {
            format!("write {}", alternatives(known.iter().map(|name| format!("`\"{name}\"`"))))
        }
    };
    let message = format!("unknown {what} `{}`", name.value.escape_debug());
    decoder.report(Diagnostic::error(name.span, message).help(help));
}

fn validate(outcome: Result<(), crate::Diagnostics>, decoder: &mut Decoder<'_>) {
    if let Err(errors) = outcome {
        decoder.report_all(errors);
    }
}

/// No two listeners of the file may need the same address.
fn addresses(configuration: &Configuration, decoder: &mut Decoder<'_>) {
    let mut known: Vec<&Spanned<crate::Address>> = Vec::new();
    let listeners = configuration.servers.iter().flat_map(|(_, server)| &server.listen);
    for address in listeners.map(|listen| &listen.address) {
        if let Some(first) = known.iter().find(|known| known.overlaps(address)) {
            let message = if first.value == address.value {
                format!("the address {} is listened on twice", address.value)
            } else {
                format!("the addresses {} and {} overlap", address.value, first.value)
            };
            let diagnostic = Diagnostic::error(address.span, message)
                .help("give one of the two another port")
                .related(first.span, "already listened on here");
            decoder.report(diagnostic);
        }
        known.push(address);
    }
}

fn hosts(server: &ServerConfig, decoder: &mut Decoder<'_>) {
    let mut known: Vec<(&str, Span)> = Vec::new();
    for host in server.sites.iter().flat_map(|(_, site)| &site.hosts) {
        if let Some(help) = host_error(host) {
            let message = format!("`{}` is not a host name", host.value.escape_debug());
            decoder.report(Diagnostic::error(host.span, message).help(help));
        }
        let same = |(name, _): &&(&str, Span)| name.eq_ignore_ascii_case(host);
        if let Some((_, first)) = known.iter().find(same) {
            let message = format!("the host `{}` is named twice in one server", host.value);
            decoder.report(twice(message, host.span, *first));
        }
        known.push((host, host.span));
    }
}

/// What to write instead of a host that cannot be one.
fn host_error(host: &str) -> Option<&'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if ip.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    if host == "_" {
        return Some("take the site away: hosts of no site get the server's own routes");
    }
    if host.contains("//") || host.contains('/') {
        return Some("write the name alone, without scheme and path");
    }
    if host.contains(':') {
        return Some("write the name alone: a site serves every port of its server");
    }
    if name.contains('*') {
        return Some("write `*.` only at the start, for every name below");
    }
    if !name.is_ascii() {
        return Some("write it as it stands in a request: `xn--…`");
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let valid = name.len() <= 253 && name.split('.').all(label);
    (!valid).then_some("write letters, digits, `-` and dots")
}

fn name(what: &str, name: &Spanned<String>, decoder: &mut Decoder<'_>) {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(valid) {
        let message = format!("`{}` cannot be the name of {what}", name.value.escape_debug());
        let help = "write 1 to 64 letters, digits, `-` or `_`";
        decoder.report(Diagnostic::error(name.span, message).help(help));
    }
}

/// Whether a route has one pattern, and a path that can be one; the router looks at its segments.
pub(crate) fn pattern(value: &Value, decoder: &mut Decoder<'_>) -> bool {
    let Some(table) = value.as_table() else { return false };
    match (table.entry("path"), table.entry("regex")) {
        (Some(path), None) => self::path(&path.value, decoder),
        (None, Some(_)) => true,
        (Some(path), Some(regex)) => {
            let message = "a route has both `path` and `regex`";
            let diagnostic = Diagnostic::error(regex.key.span, message)
                .help("remove one of the two")
                .related(path.key.span, "the path");
            decoder.report(diagnostic);
            false
        }
        (None, None) if decoder.has_gaps() => false,
        (None, None) => {
            let diagnostic =
                Diagnostic::error(value.span, "the route has neither `path` nor `regex`");
            decoder.report(diagnostic.help("add `path = \"/{*rest}\"` for every path"));
            false
        }
    }
}

fn path(value: &Value, decoder: &mut Decoder<'_>) -> bool {
    // What is no string is reported where it is decoded.
    let Content::Text(text) = &value.content else { return false };
    let valid = text.value.starts_with('/');
    if !valid {
        let diagnostic = Diagnostic::error(value.span, "a path starts with `/`");
        decoder.report(diagnostic.help(path_meant(text.written())));
    } else if let Some((segment, meant)) = literal_meant(&text.value).filter(|_| !text.expanded) {
        let message = format!("`{}` stands for itself in a path", segment.escape_debug());
        decoder.report(Diagnostic::warning(value.span, message).help(format!("write {meant}")));
    }
    valid
}

/// A segment that others would read as a pattern, and how it is written here.
fn literal_meant(path: &str) -> Option<(&str, String)> {
    path.split('/').find_map(|segment| {
        let named = |name: &str| {
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then(|| (segment, format!("`{{{name}}}`")))
        };
        let angled = segment.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        if let Some(name) = angled.or(segment.strip_prefix(':')) {
            return named(name);
        }
        let is_star = segment.starts_with('*') && !segment.contains('{');
        let meant = "`{name}` for one segment, `{*rest}` for the rest, or a `regex`";
        is_star.then(|| (segment, meant.to_owned()))
    })
}

/// What to write for a path without its slash, or with a modifier of nginx's `location`.
fn path_meant(written: &str) -> String {
    let path = |path: &str| format!("write `{}`", quoted(path));
    if let Some(prefix) = written.strip_prefix("^~") {
        path(&format!("{}/{{*rest}}", prefix.trim().trim_end_matches('/')))
    } else if written.starts_with(['~', '^']) {
        "write `regex = '…'` for an expression; it matches the path from its start".to_owned()
    } else if let Some(exact) = written.strip_prefix('=') {
        path(exact.trim())
    } else {
        path(&format!("/{written}"))
    }
}

/// The methods of a route, each a token, none twice (RFC 9110 §9.1).
pub(crate) fn methods(value: &Value, methods: &[Spanned<String>], decoder: &mut Decoder<'_>) {
    if value.as_list().is_some_and(<[Value]>::is_empty) {
        let message = "`methods` is empty, so the route matches nothing";
        let help = "remove `methods` for every method";
        decoder.report(Diagnostic::error(value.span, message).help(help));
    }
    for (at, method) in methods.iter().enumerate() {
        let upper = method.to_ascii_uppercase();
        if !is_token(method) {
            let message = format!("`{}` is not a method", method.value.escape_debug());
            decoder.report(Diagnostic::error(method.span, message).help("write `\"GET\"`"));
        } else if upper != method.value && METHODS.contains(&upper.as_str()) {
            let message = format!("`{}` never matches: methods are case-sensitive", method.value);
            let help = format!("write `\"{upper}\"`");
            decoder.report(Diagnostic::error(method.span, message).help(help));
        } else if let Some(first) = methods[..at].iter().find(|known| *known == method) {
            let message = format!("the method `{}` is named twice", method.value);
            decoder.report(twice(message, method.span, first.span));
        }
    }
}

fn twice(message: String, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error(span, message)
        .help("remove one of the two")
        .related(first, "named here first")
}

/// The methods of RFC 9110 §9.3 and RFC 5789.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Header names, each a token, none twice (RFC 9110 §5.1).
pub(crate) fn header_matchers(headers: &Map<Matcher>, decoder: &mut Decoder<'_>) {
    for (at, (name, matcher)) in headers.iter().enumerate() {
        if !is_token(name) {
            let message = format!("`{}` is not a header name", name.value.escape_debug());
            decoder.report(Diagnostic::error(name.span, message).help("write `x-name`"));
        }
        if let Matcher::Exact(value) = matcher
            && value.bytes().any(|b| b.is_ascii_control() && b != b'\t')
        {
            let message = "a header value never holds a control character";
            decoder.report(Diagnostic::error(value.span, message));
        }
        let same = |(known, _): &&(Spanned<String>, Matcher)| known.eq_ignore_ascii_case(name);
        if let Some((first, _)) = headers.0[..at].iter().find(same) {
            let message = format!("the header `{}` is named twice", name.value);
            decoder.report(twice(message, name.span, first.span));
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}
