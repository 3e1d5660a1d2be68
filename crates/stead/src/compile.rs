//! From the typed configuration to the snapshot that serves.
//!
//! Where a component's settings meet its code: `config` keeps them undecoded, the kind's own file
//! declares their type, and here the registry joins the two. Everything is built, and every error
//! collected, before anything that runs is touched.

use std::ops::Range;
use std::sync::Arc;

use stead_config::{
    Address, Configuration, Diagnostic, Diagnostics, Listen, Map, Matcher, MiddlewareRef, Pattern,
    ProxyHeader, RouteConfig, ServerConfig, Settings, SiteConfig, Sources, Span, Spanned,
    UnknownHost as UnknownHostConfig,
};
use stead_core::{BuildContext, LocalKeys, Process};
use stead_route::{
    CaptureNames, PathSpec, Place, Problem, ProblemKind, RouteRef, RouteSpec, Router, RouterSpec,
    SiteSpec, ValueMatch,
};
use stead_serve::{
    ClientField, ConnectionLimits, Route, Scope, Server, Site, Snapshot, TrustedProxies,
    UnknownHost,
};

use crate::additions::Additions;
use crate::certificates::Certificates;
use crate::log::LogPlan;
use crate::stacks::Stacks;
use crate::{registry, scopes};

/// A configuration ready to serve.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    pub(crate) process: Arc<Process>,
    pub(crate) log: LogPlan,
    pub(crate) certificates: Certificates,
}

/// Compiles a configuration; gives warnings beside it.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn compile(
    configuration: &Configuration,
    sources: &Sources,
    process: &Arc<Process>,
    additions: &Additions,
) -> Result<(Compiled, Diagnostics), Diagnostics> {
    let keys = LocalKeys::default();
    let mut diagnostics = Diagnostics::new();
    let mut servers = Vec::new();
    let stacks = Stacks::new(configuration, process, &keys, additions);
    for (name, config) in &configuration.servers {
        let https_port = https_port(configuration, config);
        let (keys, stacks) = (&keys, &stacks);
        let compiler = Compiler { config, https_port, sources, process, keys, stacks, additions };
        servers.extend(compiler.server(name, &mut diagnostics));
    }
    let certificates = Certificates::load(configuration, process, &mut diagnostics);
    let log = LogPlan::compile(&configuration.log, &mut diagnostics);
    let Some(log) = log.filter(|_| !diagnostics.has_errors()) else { return Err(diagnostics) };
    servers.extend(additions.servers.iter().map(|server| server.compile(&keys)));
    let (snapshot, process) = (Snapshot { servers }, Arc::clone(process));
    let compiled = Compiled { snapshot, process, log, certificates };
    Ok((compiled, diagnostics))
}

struct Compiler<'a> {
    config: &'a ServerConfig,
    https_port: Option<u16>,
    sources: &'a Sources,
    process: &'a Arc<Process>,
    keys: &'a LocalKeys,
    stacks: &'a Stacks<'a>,
    additions: &'a Additions,
}

impl Compiler<'_> {
    fn server(&self, name: &str, diagnostics: &mut Diagnostics) -> Option<Server> {
        let spec = router_spec(self.config);
        let router = self.router(&spec, diagnostics);
        let outer = [self.config.middleware.as_slice()];
        let stack = self.stacks.around_all(&outer, diagnostics);
        let scope = scopes::of_server(self.config, stack, diagnostics);
        let routes = self.routes(&self.config.routes, &spec.routes, &outer, &scope, diagnostics);
        let redirect = self.redirect(&scope, diagnostics);
        let mut sites = Vec::new();
        for ((name, site), spec) in self.config.sites.iter().zip(&spec.sites) {
            let outer = [self.config.middleware.as_slice(), site.middleware.as_slice()];
            let stack = self.stacks.around_all(&outer, diagnostics);
            let scope = scopes::of_site(&scope, site, stack, diagnostics);
            let routes = self.routes(&site.routes, &spec.routes, &outer, &scope, diagnostics);
            sites.push(Site { name: name.value.clone(), routes, scope });
        }
        let unknown_host = match self.config.unknown_host {
            UnknownHostConfig::Routes => UnknownHost::Routes,
            UnknownHostConfig::NotFound => UnknownHost::NotFound,
            UnknownHostConfig::Close => UnknownHost::Close,
        };
        let trusted_proxies = trusted_proxies(&self.config.trusted_proxies);
        let connections = ConnectionLimits::new(&scope.limits);
        let server = Server::new(name, router?, routes);
        Some(Server {
            sites,
            redirect,
            unknown_host,
            scope,
            trusted_proxies,
            connections,
            ..server
        })
    }

    /// What sends whoever came in the clear to TLS.
    fn redirect(&self, outer: &Scope, diagnostics: &mut Diagnostics) -> Option<Route> {
        self.config.redirect.as_ref()?;
        self.warn_of_passwords(diagnostics);
        let kind = registry::handler("redirect")?;
        let captures = CaptureNames::default();
        let context = BuildContext::new(&captures, self.process, self.keys);
        let port = self.https_port.map_or_else(String::new, |port| format!(":{port}"));
        let to = format!("redirect = 'https://{{host}}{port}{{uri}}'");
        let built = Settings::parse(&to).and_then(|to| (kind.build)(&to, &context));
        match built {
            Ok(handler) => {
                let scope = Scope {
                    middleware: outer.middleware.clone(),
                    errors: outer.errors.clone(),
                    ..*outer
                };
                Some(Route { label: EVERYTHING.to_owned(), kind: kind.name, handler, scope })
            }
            Err(errors) => {
                diagnostics.append(errors);
                None
            }
        }
    }

    /// SECURITY: what stands around the redirect asks in the clear.
    fn warn_of_passwords(&self, diagnostics: &mut Diagnostics) {
        for item in &self.config.middleware {
            if self.stacks.kind_of(item) == Some("basic_auth") {
                let message = "this password is asked for in the clear, before the redirect";
                let help = "list it at the sites or routes: they stand behind the redirect";
                diagnostics.push(Diagnostic::warning(item.name.span, message).help(help));
            }
        }
    }

    fn router(&self, spec: &RouterSpec, diagnostics: &mut Diagnostics) -> Option<Router> {
        let (router, problems) = match Router::build(spec) {
            Ok((router, warnings)) => (Some(router), warnings),
            Err(problems) => (None, problems),
        };
        for problem in problems {
            diagnostics.push(self.diagnostic(&problem));
        }
        router
    }

    fn diagnostic(&self, problem: &Problem) -> Diagnostic {
        let span = match (problem.kind, problem.at) {
            (ProblemKind::FieldName, Place::Header(route, index)) => {
                let header = self.route(route).and_then(|route| route.headers.0.get(index));
                header.map(|(name, _)| name.span)
            }
            _ => self.span(problem.at, problem.range.clone()),
        };
        let diagnostic = if problem.is_warning() {
            Diagnostic::warning(span, &*problem.message)
        } else {
            Diagnostic::error(span, &*problem.message)
        };
        let diagnostic = diagnostic.help(&*problem.help);
        match problem.other.and_then(|other| self.span(other, None)) {
            Some(other) => diagnostic.related(other, "the other one"),
            None => diagnostic,
        }
    }

    /// Where a text of the router's stands in the files.
    fn span(&self, place: Place, range: Option<Range<usize>>) -> Option<Span> {
        let text = match place {
            Place::Site { site } => &self.config.sites.0.get(site)?.0,
            Place::Host { site, host } => self.site(site)?.hosts.get(host)?,
            Place::Path(route) => self.route(route)?.pattern.text(),
            Place::Method(route, index) => self.route(route)?.methods.get(index)?,
            Place::Header(route, index) => matcher_text(&self.route(route)?.headers, index)?,
            Place::Query(route, index) => matcher_text(&self.route(route)?.query, index)?,
        };
        Some(self.narrow(text, range))
    }

    /// The bytes `range` of a string, where it is written without escapes; else all of it.
    fn narrow(&self, text: &Spanned<String>, range: Option<Range<usize>>) -> Span {
        let written = self.sources.slice(text.span);
        let is_plain = written.len() == text.value.len() + 2
            && written.get(1..written.len() - 1) == Some(text.value.as_str());
        match range {
            Some(range) if is_plain => {
                let start = text.span.start as usize + 1;
                Span::new(text.span.file, start + range.start..start + range.end)
            }
            _ => text.span,
        }
    }

    fn site(&self, site: usize) -> Option<&SiteConfig> {
        self.config.sites.0.get(site).map(|(_, site)| site)
    }

    fn route(&self, route: RouteRef) -> Option<&RouteConfig> {
        match route.site {
            Some(site) => self.site(site)?.routes.get(route.route),
            None => self.config.routes.get(route.route),
        }
    }

    /// Builds handlers also where the router was not built: all errors belong to the same run.
    fn routes(
        &self,
        routes: &[RouteConfig],
        specs: &[RouteSpec],
        outer: &[&[MiddlewareRef]],
        scope: &Scope,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Route> {
        let build = |(config, spec): (&RouteConfig, &RouteSpec)| {
            // What a malformed pattern captures is not known, and is an error already.
            self.build(config, &spec.path.captures()?, outer, scope, diagnostics)
        };
        routes.iter().zip(specs).filter_map(build).collect()
    }

    fn build(
        &self,
        config: &RouteConfig,
        captures: &CaptureNames,
        outer: &[&[MiddlewareRef]],
        scope: &Scope,
        diagnostics: &mut Diagnostics,
    ) -> Option<Route> {
        let kind = self.additions.handler(&config.handler.kind.value)?;
        let stack = self.stacks.around_route(outer, config, captures, diagnostics);
        let scope = scopes::of_route(scope, config, stack, diagnostics);
        let mut context = BuildContext::new(captures, self.process, self.keys);
        if takes_every_get(config) {
            context = context.on_path(&config.pattern.text().value);
        }
        let settings = &config.handler.settings;
        let label = &config.pattern.text().value;
        let built = settings.build(|settings| {
            let of_code = self.additions.service(settings, label, self.keys);
            of_code.unwrap_or_else(|| (kind.build)(settings, &context))
        });
        let built = match built {
            Ok(handler) => {
                check_methods(config, handler.methods(), diagnostics);
                Some(Route { label: label.clone(), kind: kind.name, handler, scope })
            }
            Err(errors) => {
                diagnostics.append(errors);
                None
            }
        };
        diagnostics.append(context.into_warnings());
        built
    }
}

/// Whether nothing but the path decides about a GET.
fn takes_every_get(config: &RouteConfig) -> bool {
    let methods = &config.methods;
    let takes_get = methods.is_empty() || methods.iter().any(|method| method.value == "GET");
    let has_path = matches!(config.pattern, Pattern::Path(_));
    has_path && takes_get && config.headers.0.is_empty() && config.query.0.is_empty()
}

/// Methods that the route takes and its handler always refuses. OPTIONS may be for middleware.
fn check_methods(
    config: &RouteConfig,
    taken: Option<&'static [&'static str]>,
    diagnostics: &mut Diagnostics,
) {
    let Some(taken) = taken else { return };
    for method in &config.methods {
        if method.value != "OPTIONS" && !taken.contains(&method.as_str()) {
            let kind = &config.handler.kind;
            let message = format!(
                "`{}` never answers {}: it takes {}",
                kind.value,
                method.value,
                taken.join(" and ")
            );
            let help = "take it out, or answer it by a route of its own";
            let error = Diagnostic::error(method.span, message).help(help);
            diagnostics.push(error.related(kind.span, "the handler"));
        }
    }
}

fn matcher_text(matchers: &Map<Matcher>, index: usize) -> Option<&Spanned<String>> {
    matchers.0.get(index).map(|(_, matcher)| match matcher {
        Matcher::Exact(text) | Matcher::Regex { regex: text } => text,
    })
}

pub(crate) fn trusted_proxies(config: &stead_config::TrustedProxies) -> TrustedProxies {
    TrustedProxies {
        origins: config.networks.iter().copied().collect(),
        field: match config.header {
            ProxyHeader::XForwardedFor => ClientField::XForwardedFor,
            ProxyHeader::Forwarded => ClientField::Forwarded,
            ProxyHeader::XRealIp => ClientField::XRealIp,
        },
    }
}

/// The routes of a server as the router wants them.
pub(crate) fn router_spec(config: &ServerConfig) -> RouterSpec {
    let site = |site: &SiteConfig| SiteSpec {
        hosts: site.hosts.iter().map(|host| host.value.clone()).collect(),
        routes: site.routes.iter().map(route_spec).collect(),
    };
    RouterSpec {
        sites: config.sites.iter().map(|(_, config)| site(config)).collect(),
        routes: config.routes.iter().map(route_spec).collect(),
    }
}

/// Where TLS is spoken, for who is sent there from the clear: at the server's own listeners if it
/// has some, else anywhere; `None` for the port that nobody needs to name.
fn https_port(configuration: &Configuration, config: &ServerConfig) -> Option<u16> {
    let port = |listen: &Listen| match listen.address.value {
        Address::Tcp { port, .. } if port != 0 && listen.is_encrypted() => Some(port),
        _ => None,
    };
    let own: Vec<u16> = config.listen.iter().filter_map(port).collect();
    let all = configuration.servers.iter().flat_map(|(_, server)| &server.listen);
    let ports = if own.is_empty() { all.filter_map(port).collect() } else { own };
    ports.first().copied().filter(|_| !ports.contains(&443))
}

/// How the log names a redirect to TLS.
const EVERYTHING: &str = "/{*rest}";

fn route_spec(config: &RouteConfig) -> RouteSpec {
    let matchers = |map: &Map<Matcher>| {
        map.iter().map(|(name, matcher)| (name.value.clone(), value_match(matcher))).collect()
    };
    RouteSpec {
        path: match &config.pattern {
            Pattern::Path(text) => PathSpec::Path(text.value.clone()),
            Pattern::Regex(text) => PathSpec::Regex(text.value.clone()),
        },
        methods: config.methods.iter().map(|method| method.value.clone()).collect(),
        headers: matchers(&config.headers),
        query: matchers(&config.query),
    }
}

fn value_match(matcher: &Matcher) -> ValueMatch {
    match matcher {
        Matcher::Exact(text) => ValueMatch::Exact(text.value.clone()),
        Matcher::Regex { regex } => ValueMatch::Regex(regex.value.clone()),
    }
}
