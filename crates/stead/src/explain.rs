//! What would answer a request, and why: the decision of the router, shown.

use stead_config::{
    Address, Configuration, ErrorStatus, MiddlewareRef, RouteConfig, ServerConfig, SiteConfig,
    Sources, Span, Switch, effective_middleware,
};
use stead_core::Scheme;
use stead_http1::{RequestDecoder, RequestHead};
use stead_route::{RouteRef, Router, Sample, Verdict, canonicalize};
use stead_serve::{ScopeRef, Server, UnknownHost, Verdict as Decided, decide};

use crate::check::Checked;
use crate::stacks::middleware_kind;

/// A request to explain.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The method.
    pub method: String,
    /// `http://host:port/path?query`, or a path.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Only this server.
    pub server: Option<String>,
}

/// What one server would do.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Lines for people.
    pub lines: Vec<String>,
}

/// Explains what the server asked for does with a request; else those that listen on the URL's
/// port; else all.
///
/// # Errors
/// The URL is none, its path is refused, or there is no such server; the text says what to write.
pub fn explain(checked: &Checked, question: &Question) -> Result<Vec<Explanation>, String> {
    let (Some(configuration), Some(compiled)) = (&checked.configuration, &checked.compiled) else {
        return Err("the configuration has errors".to_owned());
    };
    let asked = Asked { sample: sample(question)?, scheme: scheme(&question.url) };
    let port = port(&question.url);
    let listens = |config: &ServerConfig| {
        let mut addresses = config.listen.iter().map(|listen| &listen.address.value);
        addresses
            .any(|address| matches!(address, Address::Tcp { port: own, .. } if Some(*own) == port))
    };
    // A port that nobody listens on may be that of something in front: it says nothing.
    let by_port = configuration.servers.iter().any(|(_, config)| listens(config));
    let mut explanations = Vec::new();
    let servers = configuration.servers.iter().zip(&compiled.snapshot.servers);
    for ((name, config), server) in servers {
        let is_asked_for = match &question.server {
            Some(wanted) => *wanted == name.value,
            None => !by_port || listens(config),
        };
        if is_asked_for {
            let mut one = of_server(configuration, config, server, &checked.sources, &asked);
            if asked.scheme == Scheme::Https {
                let host = host(&asked.sample);
                let shown = compiled.certificates.explain(config, host, port);
                one.lines.splice(1..1, shown.map(|shown| format!("  {shown}")));
            }
            explanations.push(one);
        }
    }
    if explanations.is_empty() {
        let names: Vec<&str> =
            configuration.servers.iter().map(|(name, _)| name.value.as_str()).collect();
        return Err(format!("there is no such server: write one of {}", names.join(", ")));
    }
    Ok(explanations)
}

/// The request, and how it came.
struct Asked {
    sample: Sample,
    scheme: Scheme,
}

/// The scheme that a URL names; a path alone is asked for in the clear.
fn scheme(url: &str) -> Scheme {
    match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The port that a URL names.
fn port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

/// The request as the engine would parse it: what it refuses cannot be explained further.
fn sample(question: &Question) -> Result<Sample, String> {
    let after_scheme = question.url.split_once("://").map(|(_, rest)| rest);
    let (host, target) = match after_scheme {
        Some(rest) => match rest.find(['/', '?']) {
            Some(end) => (Some(&rest[..end]), rest[end..].to_owned()),
            None => (Some(rest), "/".to_owned()),
        },
        None => (None, question.url.clone()),
    };
    if after_scheme.is_none() && !target.starts_with(['/', '?', '*']) {
        return Err(format!("a path begins with `/`: write `/{target}`, or `http://host/path`"));
    }
    if !target.is_ascii() {
        return Err(format!("a path is ASCII: write `{}`", percent_encoded(&target)));
    }
    let target = if target.starts_with('?') { format!("/{target}") } else { target };
    let target = target.split('#').next().unwrap_or_default();
    let given = question.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.or(given.map(|(_, host)| host.as_str())).unwrap_or("localhost");
    let text = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n", question.method);
    let (mut head, limits) = (RequestHead::default(), stead_base::Limits::default());
    let mut decoder = RequestDecoder::new(limits.head(), None);
    let refused = |reason: stead_base::Reason| {
        let status = reason.status().unwrap_or(400);
        format!("refused before routing with {status}: {}", reason.facts().meaning)
    };
    decoder.decode(text.as_bytes(), &mut head).map_err(refused)?;
    let mut path = String::new();
    canonicalize(head.path(), &mut path).map_err(refused)?;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Sample {
        method: question.method.clone(),
        host: head.host_name().map(lossy),
        path,
        query: head.query().map(lossy),
        headers: question.headers.clone(),
    })
}

/// A text with what is beyond ASCII escaped, as a client sends it.
fn percent_encoded(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        0..0x80 => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

fn of_server(
    configuration: &Configuration,
    config: &ServerConfig,
    server: &Server,
    sources: &Sources,
    Asked { sample, scheme }: &Asked,
) -> Explanation {
    let router = &server.router;
    let mut captures = stead_route::Captures::new();
    let decision = decide(server, router, *scheme, sample, &mut captures);
    let mut lines = vec![format!("server {}: {} {}", server.name, sample.method, sample.path)];
    if let Some(site) = decision.site.and_then(|site| config.sites.0.get(site)) {
        lines.push(format!("  site {} by host {}", site.0.value, host(sample)));
    }
    match &decision.verdict {
        Decided::Route(..) => {}
        Decided::Redirect(_) => lines.extend(config.redirect.as_ref().map(|redirect| {
            let at = place(sources, redirect.span);
            format!("  308 to https, as it came in the clear; ask for `https://…` too   {at}")
        })),
        Decided::NotFound => lines.push("  404 no_route: no route matches".to_owned()),
        Decided::UnknownHost if server.unknown_host == UnknownHost::Close => {
            lines.push("  closed, unknown_host: the host belongs to no site".to_owned());
        }
        Decided::UnknownHost => {
            lines.push("  404 unknown_host: the host belongs to no site".to_owned());
        }
        Decided::MethodNotAllowed { allow, .. } => {
            lines.push(format!("  405 method_not_allowed, Allow: {allow}"));
        }
        Decided::Options { allow, .. } => lines.push(format!("  204 to OPTIONS, Allow: {allow}")),
    }
    let by = match &decision.verdict {
        Decided::MethodNotAllowed { route, .. } | Decided::Options { route, .. } => *route,
        Decided::Route(_, route) => Some(*route),
        Decided::NotFound | Decided::UnknownHost | Decided::Redirect(_) => None,
    };
    if let Some(place) = by {
        winner(&mut lines, config, sources, place);
    }
    if let Some(names) = by.and_then(|place| router.captures_of(place)) {
        for (capture, value) in names.names.iter().zip(captures.iter(&sample.path)) {
            lines.push(format!("    {capture} = {value:?}"));
        }
    }
    others(&mut lines, router, config, sources, sample);
    let at = match (&decision.verdict, by) {
        (Decided::Redirect(_), _) => ScopeRef::SERVER,
        (_, Some(route)) => ScopeRef::of_route(route),
        (_, None) => ScopeRef::of_site(decision.site),
    };
    let (levels, scope) = (Levels::of(config, at), server.scope(at));
    levels.show_middleware(&mut lines, configuration, sources);
    lines.push("  limits".to_owned());
    levels.show(&mut lines, sources, &crate::status::limits(&scope.limits), Levels::limit);
    lines.push("  timeouts".to_owned());
    levels.show(&mut lines, sources, &crate::status::timeouts(&scope.timeouts), Levels::timeout);
    levels.show_errors(&mut lines, sources);
    let log = levels.access_log().map(|span| format!("   {}", place(sources, span)));
    let switch = if scope.access_log { "on" } else { "off" };
    lines.push(format!("  access_log {switch}{}", log.unwrap_or_default()));
    Explanation { lines }
}

fn winner(lines: &mut Vec<String>, config: &ServerConfig, sources: &Sources, found: RouteRef) {
    let Some(route) = route(config, found) else { return };
    let text = &route.pattern.text();
    let handler = &route.handler.kind;
    lines.push(format!("  route {}   {}", text.value, place(sources, text.span)));
    lines.push(format!("  handler {}   {}", handler.value, place(sources, handler.span)));
}

fn others(
    lines: &mut Vec<String>,
    router: &Router,
    config: &ServerConfig,
    sources: &Sources,
    sample: &Sample,
) {
    for considered in router.explain(sample) {
        let why = match considered.verdict {
            Verdict::Wins => continue,
            Verdict::Late => "matches, but a route before it answers".to_owned(),
            Verdict::PathDiffers => "its regex does not match".to_owned(),
            Verdict::HeaderDiffers(name) => format!("its header {name} does not match"),
            Verdict::QueryDiffers(name) => format!("its query parameter {name} does not match"),
            Verdict::MethodDiffers => "its methods do not include this one".to_owned(),
        };
        if let Some(route) = route(config, considered.route) {
            let text = route.pattern.text();
            let at = place(sources, text.span);
            lines.push(format!("  not {}   {at}   {why}", text.value));
        }
    }
}

fn route(config: &ServerConfig, place: RouteRef) -> Option<&RouteConfig> {
    match place.site {
        Some(site) => config.sites.0.get(site)?.1.routes.get(place.route),
        None => config.routes.get(place.route),
    }
}

fn host(sample: &Sample) -> &str {
    sample.host.as_deref().unwrap_or("")
}

fn place(sources: &Sources, span: Span) -> String {
    let position = sources.position(span.file, span.start);
    format!("{}:{}", sources.path(span.file).display(), position.line)
}

/// The tables that a limit or timeout may come from.
struct Levels<'a> {
    server: &'a ServerConfig,
    site: Option<&'a SiteConfig>,
    route: Option<&'a RouteConfig>,
}

impl<'a> Levels<'a> {
    fn of(server: &'a ServerConfig, place: ScopeRef) -> Self {
        let site = |index: usize| server.sites.0.get(index).map(|(_, site)| site);
        let route = place.route().and_then(|found| route(server, found));
        Self { server, site: place.site().and_then(site), route }
    }

    /// What stands around the answer, outermost first.
    fn show_middleware(
        &self,
        lines: &mut Vec<String>,
        configuration: &Configuration,
        sources: &Sources,
    ) {
        let site = self.site.map(|site| site.middleware.as_slice());
        let route = self.route.map(|route| route.middleware.as_slice());
        let lists: Vec<&[MiddlewareRef]> =
            [Some(self.server.middleware.as_slice()), site, route].into_iter().flatten().collect();
        let kind = |name: &str| middleware_kind(configuration, name);
        for item in effective_middleware(&lists, kind) {
            let name = item.name.as_str();
            let of = kind(name).filter(|kind| *kind != name);
            let of = of.map(|kind| format!(" ({kind})")).unwrap_or_default();
            lines.push(format!("  middleware {name}{of}   {}", place(sources, item.name.span)));
        }
    }

    /// The pages in place of our own error answers, those first that count first.
    fn show_errors(&self, lines: &mut Vec<String>, sources: &Sources) {
        let route = self.route.map(|route| &route.own.errors);
        let site = self.site.map(|site| &site.errors);
        let mut shown: Vec<ErrorStatus> = Vec::new();
        for pages in [route, site, Some(&self.server.errors)].into_iter().flatten() {
            // What an inner level has a page for is never looked up further out.
            let is_free = |status: ErrorStatus| match status {
                ErrorStatus::Status(status) => !shown.iter().any(|inner| inner.covers(status)),
                class @ ErrorStatus::Class(_) => !shown.contains(&class),
            };
            let level: Vec<_> = pages.0.iter().filter(|(status, _)| is_free(*status)).collect();
            for (status, page) in &level {
                let status = match status {
                    ErrorStatus::Status(status) => status.to_string(),
                    ErrorStatus::Class(class) => format!("{class}xx"),
                };
                let at = place(sources, page.span);
                lines.push(format!("  errors {status} = {}   {at}", page.display()));
            }
            shown.extend(level.iter().map(|(status, _)| *status));
        }
    }

    /// Where it is written whether requests are logged; a site is logged by default.
    fn access_log(&self) -> Option<Span> {
        let route = self.route.and_then(|route| route.own.access_log.as_ref());
        let site = || self.site.map(|site| &site.access_log).filter(|log| log.value == Switch::Off);
        route.or_else(site).map(|log| log.span)
    }

    /// Where a limit is written: the innermost place wins.
    fn limit(&self, key: &str) -> Option<Span> {
        let route = self.route.and_then(|route| route.own.limits.place(key));
        let site = || self.site.and_then(|site| site.limits.place(key));
        route.or_else(site).or_else(|| self.server.limits.place(key))
    }

    /// Where a timeout is written.
    fn timeout(&self, key: &str) -> Option<Span> {
        let route = self.route.and_then(|route| route.own.timeouts.place(key));
        let site = || self.site.and_then(|site| site.timeouts.place(key));
        route.or_else(site).or_else(|| self.server.timeouts.place(key))
    }

    /// A line for each value that is written somewhere, then the others on one line.
    fn show(
        &self,
        lines: &mut Vec<String>,
        sources: &Sources,
        values: &serde_json::Value,
        span: impl Fn(&Self, &str) -> Option<Span>,
    ) {
        let (mut defaults, mut written) = (Vec::new(), Vec::new());
        for (key, value) in values.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match span(self, key) {
                Some(span) => {
                    written.push(format!("    {key} = {text}   {}", place(sources, span)));
                }
                None => defaults.push(format!("{key} = {text}")),
            }
        }
        lines.extend(written);
        if !defaults.is_empty() {
            lines.push(format!("    by default: {}", defaults.join(", ")));
        }
    }
}
