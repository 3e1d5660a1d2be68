//! Puts another path, and perhaps another query, in place of those that were asked for.
//!
//! # What
//! `to` is the path for what is further in: `rewrite = "/v2/{rest}"`. With `regex` only paths that
//! it matches are rewritten, and its named groups are placeholders. The query stays, unless `to`
//! has a `?`: then what follows it is the query, and `"/x?"` has none.
//!
//! # Why
//! Addresses that clients know and places where things lie are not always the same.
//!
//! # Example
//! ```toml
//! rewrite = { regex = '^/img/(?<name>[a-z]+)/(?<size>[0-9]+)$', to = "/{name}.png?size={size}" }
//! ```
//!
//! # Placeholders
//! Groups of `regex`, then those of `redirect`: the route's captures where the route itself lists
//! this, and `{host}`, `{path}`, `{query}`, `{uri}`, `{method}`, `{scheme}`, `{client_ip}`,
//! `{request_id}`. In the path, what is no part of a path already is escaped; in the query each but
//! a query itself stays within its parameter.
//!
//! # Limits
//! The route is chosen before, and log and redirects show the path that was asked for. A `regex`
//! sees the canonical path and matches from its start, not necessarily to its end. What becomes no
//! canonical path, or holds a dot segment that a placeholder brought, is 400. `files` looks for all
//! of the rewritten path beneath its root; where that names a directory, end it with a slash. Its
//! route needs a wildcard all the same: `/u/{*id}` in place of `/u/{id}` or of a `regex`.
//!
//! # RFC
//! RFC 3986 §3.3 (paths), §5.2.4 (dot segments).

use std::cell::RefCell;

use stead_config::{
    Config, Diagnostic, Diagnostics, Piece as Configured, Settings, Spanned, Template, module_docs,
};
use stead_core::{
    BuildContext, Exchange, Fact, Flow, LocalKey, Middleware, MiddlewareKind, Part, Reason,
    push_parameter,
};
use stead_route::{CaptureNames, Captures, PathRegex};

use crate::escape;

/// The kind `rewrite`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("rewrite", build)
    .summary("put another path in place of the one that was asked for")
    .docs(module_docs!("rewrite.rs"))
    .example(r#"rewrite = { regex = '^/old/(?<rest>.*)$', to = "/new/{rest}" }"#)
    .settings::<RewriteConfig>();

/// Settings of `rewrite`. All apply at start.
#[derive(Config)]
#[config(shorthand = "to")]
struct RewriteConfig {
    /// Path and perhaps query, `/` first. Takes placeholders.
    to: Template,
    /// An expression that the canonical path matches from its start; every path without it.
    regex: Option<Spanned<String>>,
}

struct Rewrite {
    regex: Option<(PathRegex, LocalKey<RefCell<Captures>>)>,
    path: Box<[Piece]>,
    /// In place of the query that was asked for, where `to` has a `?`.
    query: Option<Box<[Piece]>>,
}

/// A part of `to`.
#[derive(Debug, PartialEq)]
enum Piece {
    /// A named group of the expression, by its position.
    Group(usize),
    Part(Part),
}

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: RewriteConfig = settings.decode()?;
    let (regex, groups) = match &config.regex {
        None => (None, CaptureNames::default()),
        Some(text) => {
            let (regex, groups) = PathRegex::compile(text)
                .map_err(|fault| Diagnostic::error(text.span, fault.message).help(fault.help))?;
            (Some((regex, context.local())), groups)
        }
    };
    let (path, query) = compile(&config.to, &groups, context)?;
    check_path(&path, &config.to)?;
    Ok(Box::new(Rewrite { regex, path, query }))
}

type Compiled = (Box<[Piece]>, Option<Box<[Piece]>>);

/// The pieces of path and query.
fn compile(
    to: &Template,
    groups: &CaptureNames,
    context: &BuildContext<'_>,
) -> Result<Compiled, Diagnostics> {
    let others = to.names().filter(|name| groups.position(name).is_none());
    let captures = context.captures_for(others.map(|name| name.value.as_str()));
    let facts = Fact::ALL.iter().map(|(name, _)| *name);
    let known = groups.names.iter().chain(captures).map(String::as_str).chain(facts);
    to.check(&known.collect::<Vec<_>>())?;
    query_stays(to)?;
    let (mut path, mut query) = (Vec::new(), None::<Vec<Piece>>);
    for piece in to.pieces() {
        match (piece, &mut query) {
            (Configured::Text(text), None) => match text.split_once('?') {
                None => path.push(literal(text)),
                Some((before, after)) => {
                    path.push(literal(before));
                    query = Some(vec![literal(after)]);
                }
            },
            (Configured::Text(text), Some(query)) => query.push(literal(text)),
            (Configured::Placeholder(name), place) => {
                let piece = placeholder(name, groups, captures);
                place.as_mut().unwrap_or(&mut path).push(piece);
            }
        }
    }
    Ok((path.into(), query.map(Into::into)))
}

/// Refuses `{?query}`, and `{&query}` before a `?`: neither may end up in the path.
fn query_stays(to: &Template) -> Result<(), Diagnostic> {
    let mut in_query = false;
    for piece in to.pieces() {
        match piece {
            Configured::Text(text) => in_query |= text.contains('?'),
            Configured::Placeholder(name) => {
                let (message, help) = match name.as_str() {
                    "?query" if in_query => ("a query begins once", "write `{&query}`"),
                    "?query" | "&query" if !in_query => {
                        ("the query stays where `to` has no `?`", "take it out")
                    }
                    _ => continue,
                };
                return Err(Diagnostic::error(name.span, message).help(help));
            }
        }
    }
    Ok(())
}

/// Text as a request would have it: people may write the character.
fn literal(text: &str) -> Piece {
    Piece::Part(Part::Literal(escape::to_ascii(text).into()))
}

/// INVARIANT: the names of placeholders were checked.
fn placeholder(name: &str, groups: &CaptureNames, captures: &[String]) -> Piece {
    if let Some(group) = groups.position(name) {
        return Piece::Group(group);
    }
    Piece::Part(Part::named(name, captures))
}

/// Whether the configured text can become a path, whatever the placeholders stand for.
fn check_path(path: &[Piece], to: &Template) -> Result<(), Diagnostic> {
    let begins_path = match path.first() {
        Some(Piece::Part(Part::Literal(text))) => text.starts_with('/'),
        Some(Piece::Part(Part::Fact(Fact::Path | Fact::Uri))) => true,
        _ => false,
    };
    if !begins_path {
        return Err(Diagnostic::error(to.span(), "a path begins with `/`").help("write it first"));
    }
    let mut sample = Vec::new();
    for piece in path {
        match piece {
            Piece::Part(Part::Literal(text)) => sample.extend_from_slice(text.as_bytes()),
            Piece::Part(Part::Fact(Fact::Path | Fact::Uri)) => sample.extend_from_slice(b"/x"),
            _ => sample.push(b'x'),
        }
    }
    let mut canonical = String::new();
    if has_dot_segment(&sample) {
        return Err(Diagnostic::error(to.span(), "the path holds a dot segment")
            .help("write the path that it leads to"));
    }
    match stead_route::canonicalize(&sample, &mut canonical) {
        Ok(()) => Ok(()),
        Err(_) => Err(Diagnostic::error(to.span(), "this is no path")
            .help("take `#`, `\\` and broken escapes out")),
    }
}

/// Whether a path that is to be made canonical holds `.` or `..`, escaped or not.
fn has_dot_segment(path: &[u8]) -> bool {
    const DOTS: [&[u8]; 6] = [b".", b"..", b"%2e", b".%2e", b"%2e.", b"%2e%2e"];
    path.split(|byte| *byte == b'/')
        .any(|segment| DOTS.iter().any(|dots| dots.eq_ignore_ascii_case(segment)))
}

/// Path and query on their way.
struct Filled {
    path: Vec<u8>,
    query: Option<Vec<u8>>,
}

impl Rewrite {
    fn fill(&self, exchange: &Exchange, groups: &Captures) -> Filled {
        let mut filled = Filled { path: Vec::new(), query: None };
        for piece in &self.path {
            match piece {
                Piece::Group(group) => {
                    let value = groups.get(exchange.path(), *group).unwrap_or_default();
                    filled.path.extend_from_slice(value.as_bytes());
                }
                Piece::Part(Part::Fact(Fact::Uri)) => {
                    filled.path.extend_from_slice(exchange.path().as_bytes());
                    filled.query = exchange.query().map(<[u8]>::to_vec);
                }
                // Canonical, or configured.
                Piece::Part(
                    part @ (Part::Literal(_) | Part::Capture(_) | Part::Fact(Fact::Path)),
                ) => part.write(exchange, &mut filled.path),
                Piece::Part(part) => write_escaped(part, exchange, &mut filled.path),
            }
        }
        match &self.query {
            None => filled.query = exchange.query().map(<[u8]>::to_vec),
            Some(pieces) => {
                let query = filled.query.get_or_insert_default();
                for piece in pieces {
                    match piece {
                        Piece::Group(group) => {
                            let value = groups.get(exchange.path(), *group).unwrap_or_default();
                            push_parameter(value.as_bytes(), query);
                        }
                        Piece::Part(part) => part.write_in_query(exchange, query),
                    }
                }
            }
        }
        filled.query = filled.query.filter(|query| !query.is_empty());
        filled
    }

    fn apply(&self, exchange: &mut Exchange, groups: &Captures) -> Result<(), Reason> {
        let Filled { path, query } = self.fill(exchange, groups);
        // SECURITY: no placeholder leads out of the place that `to` names.
        if has_dot_segment(&path) {
            return Err(Reason::BadPath);
        }
        exchange.rewrite(&path, query.as_deref())
    }
}

/// Appends a part so that it stays within its segment.
fn write_escaped(part: &Part, exchange: &Exchange, out: &mut Vec<u8>) {
    let mut raw = exchange.worker().buffer();
    part.write(exchange, &mut raw);
    escape::push_segment(&raw, out);
    exchange.worker().reclaim_buffer(raw);
}

impl Middleware for Rewrite {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let applied = match &self.regex {
            None => self.apply(exchange, &Captures::new()),
            Some((regex, key)) => {
                let groups = exchange.worker().local.value(key, RefCell::default);
                let mut groups = groups.borrow_mut();
                if !regex.captures(exchange.path(), &mut groups) {
                    return Flow::Continue;
                }
                self.apply(exchange, &groups)
            }
        };
        match applied {
            Ok(()) => Flow::Continue,
            Err(reason) => Flow::Respond(exchange.refuse(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, around, refusal, text};
    use proptest::prelude::*;

    fn bench(settings: &str) -> Bench {
        around(&[&format!("rewrite = {settings}")], |exchange| {
            let mut shown = exchange.path().to_owned();
            if let Some(query) = exchange.query() {
                shown = format!("{shown}?{}", String::from_utf8_lossy(query));
            }
            text(&shown)(exchange)
        })
    }

    fn check(settings: &str, uri: &str, expect: &str) {
        assert_eq!(bench(settings).page(uri).text(), expect, "{settings} {uri}");
    }

    #[test]
    fn the_path_is_replaced_and_the_query_stays() {
        check("'/new'", "/a/b?c=d", "/new?c=d");
        check("'/v2/{rest}'", "/a%20b/c", "/v2/a%20b/c");
        check("'/v2{path}'", "/a/b?c=d", "/v2/a/b?c=d");
        check("'/v2{uri}'", "/a/b?c=d", "/v2/a/b?c=d");
        check("'/caf\u{e9} bar'", "/", "/caf%C3%A9%20bar");
        check("'{path}/'", "/a", "/a/");
    }

    #[test]
    fn a_question_mark_begins_another_query() {
        check("'/new?'", "/a?c=d", "/new");
        check("'/new?x=1'", "/a?c=d", "/new?x=1");
        check("'/new?x=1{&query}'", "/a?c=d", "/new?x=1&c=d");
        check("'/new?x=1{&query}'", "/a", "/new?x=1");
        check("'/new?x={rest}&{query}'", "/a/b?c=d", "/new?x=a/b&c=d");
        check("'/new?{query}'", "/a?c?d", "/new?c?d");
        check("'/new?{query}'", "/a", "/new");
        check("{ regex = '^/(?<id>[0-9]+)$', to = '/item?id={id}' }", "/42?x", "/item?id=42");
    }

    /// Once a path could bring parameters of its own.
    #[test]
    fn a_placeholder_stays_within_its_parameter() {
        let item = "{ regex = '^/item/(?<id>.*)$', to = '/item?id={id}&role=guest' }";
        check(item, "/item/1&role=admin", "/item?id=1%26role=admin&role=guest");
        check(item, "/item/a;b+c%26d", "/item?id=a%3Bb%2Bc%26d&role=guest");
        check("'/x?p={rest}'", "/1&q=2?r=3", "/x?p=1%26q=2");
        check("'/x?p={path}'", "/1&q=2?r=3", "/x?p=/1%26q=2");
        check("'/x?next={uri}'", "/1?a=%26&b", "/x?next=/1?a=%2526%26b");
        check("'/x?{query}&p={host}'", "/1?a=%26&b", "/x?a=%26&b&p=a.example");
    }

    #[test]
    fn only_what_the_expression_matches_is_rewritten() {
        let settings =
            "{ regex = '^/img/(?<name>[a-z]+)/(?<size>[0-9]+)$', to = '/{name}/{size}.png' }";
        check(settings, "/img/cat/64?q", "/cat/64.png?q");
        check(settings, "/img/cat/x", "/img/cat/x");
        check(settings, "/x/img/cat/64", "/x/img/cat/64");
        check("{ regex = '/a', to = '/b' }", "/abc", "/b");
        // Of two of a name the group counts, and another placeholder may stand beside it.
        check("{ regex = '^/(?<rest>..)', to = '/{rest}/{host}' }", "/abcd", "/ab/a.example");
    }

    #[test]
    fn what_is_no_path_yet_is_escaped() {
        check("'/q/{query}'", "/?a/../b%2e?c", "/q/a%2F..%2Fb%252e%3Fc?a/../b%2e?c");
        check("'/{method}/{scheme}/{client_ip}'", "/", "/GET/http/192.0.2.1");
    }

    #[test]
    fn what_has_no_canonical_form_is_400() {
        for (settings, uri) in [
            ("'/q/{query}'", "/?.."),
            ("'/q/{query}/x'", "/?."),
            ("{ regex = '^/a(?<dots>.*)b', to = '/safe/{dots}/x' }", "/a..b"),
            ("{ regex = '^/(?<half>.*)2F', to = '/{half}' }", "/a%2F"),
        ] {
            let answer = bench(settings).page(uri);
            assert_eq!(answer.status, 400, "{settings} {uri}: {}", answer.text());
        }
    }

    #[test]
    fn what_can_never_be_a_path_is_told() {
        for to in [
            "x",
            "",
            "{rest}",
            "{host}/x",
            "?x",
            "/a/../b",
            "/a/.",
            "/%2E%2e/x",
            "/a#b",
            "/a\\b",
            "/%zz",
            "/%00",
            "/{nothing}",
            "/a{?query}",
            "/a{&query}",
            "/a?b{?query}",
            "/$1",
        ] {
            assert_eq!(refusal(&format!("rewrite = '{to}'")).len(), 1, "{to}");
        }
        assert_eq!(refusal("rewrite = { regex = '(', to = '/' }").len(), 1);
        assert_eq!(refusal("rewrite = { regex = '/', to = '/{yaer}/{mont}' }").len(), 2);
        assert_eq!(refusal("rewrite = { regex = '/' }").len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_the_path_stays_where_it_was_put(
            path in "(/|\\.|%2[eEfF]|[!-~]){1,20}", query in "[!-~]{0,12}",
        ) {
            let uri = format!("/{path}?{query}").replace('#', "/");
            for to in ["'/safe/{rest}'", "'/safe/{query}/x'", "'/safe{path}'"] {
                if let Some(answer) = bench(to).try_call("GET", &uri, &[]) {
                    let is_safe = answer.status == 400 || answer.text().starts_with("/safe/");
                    prop_assert!(is_safe, "{} {}: {}", to, uri, answer.text());
                }
            }
        }
    }
}
