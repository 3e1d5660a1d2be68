//! From [`RouterSpec`] to [`Router`]: reads every text, collects every problem, builds the tables.
//!
//! Runs when a configuration is checked or loaded. A route with a mistake of its own is left out of
//! the comparison with others, so that one mistake is reported once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::captures::CaptureNames;
use crate::hosts::{HostName, Hosts};
use crate::matcher::{Matcher, Value};
use crate::method::{MethodSet, Methods, NAMED_MAX};
use crate::order;
use crate::pattern::{PATTERN_BYTES_MAX, Pattern, Segment};
use crate::regexes::{self, PathRegex, RegexFault};
use crate::router::Router;
use crate::spec::{
    PathSpec, Place, Problem, ProblemKind, RouteRef, RouteSpec, RouterSpec, SiteSpec, ValueMatch,
};
use crate::table::{Candidate, Table};
use crate::tree::{Ending, Tree};

/// A route that was read without a mistake.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) place: RouteRef,
    pub(crate) path: Path,
    /// Equal for two routes that match the same paths.
    pub(crate) shape: String,
    pub(crate) methods: MethodSet,
    /// Whether the methods were named: that counts as one matcher.
    pub(crate) methods_named: bool,
    /// Field names in lower case.
    pub(crate) headers: BTreeSet<(String, ValueMatch)>,
    pub(crate) query: BTreeSet<(String, ValueMatch)>,
    matchers: Vec<Matcher>,
}

/// A route's path, read.
#[derive(Debug)]
pub(crate) enum Path {
    Pattern(Pattern),
    Regex(PathRegex, CaptureNames),
}

impl Route {
    /// How many things a request must satisfy beyond the path.
    pub(crate) fn matcher_count(&self) -> usize {
        usize::from(self.methods_named) + self.headers.len() + self.query.len()
    }
}

/// Compiles the routes of a server.
pub(crate) fn compile(spec: &RouterSpec) -> Result<(Router, Vec<Problem>), Vec<Problem>> {
    let mut compiler = Compiler::default();
    let hosts = compiler.hosts(&spec.sites);
    let mut tables = Vec::with_capacity(spec.sites.len());
    if compiler.count(spec) {
        for (index, site) in spec.sites.iter().enumerate() {
            tables.push(compiler.table(Some(index), &site.routes));
        }
        tables.push(compiler.table(None, &spec.routes));
    }
    let Compiler { methods, mut problems, .. } = compiler;
    problems.sort_by_key(|problem| problem.at);
    match tables.pop() {
        Some(own) if problems.iter().all(Problem::is_warning) => {
            Ok((Router { hosts: Hosts::build(&hosts), sites: tables, own, methods }, problems))
        }
        _ => Err(problems),
    }
}

#[derive(Default)]
struct Compiler {
    methods: Methods,
    problems: Vec<Problem>,
    error_count: usize,
}

impl Compiler {
    /// Reads the hosts of all sites; those that stand twice are given once.
    fn hosts(&mut self, sites: &[SiteSpec]) -> Vec<(HostName, u32)> {
        let mut hosts = Vec::new();
        let mut seen = HashMap::new();
        for (site, spec) in sites.iter().enumerate() {
            if spec.hosts.is_empty() {
                let help = "write `hosts = [\"example.com\"]`, or move its routes to the server";
                self.report(
                    ProblemKind::Host,
                    Place::Site { site },
                    "a site names its hosts",
                    help,
                );
            }
            for (index, text) in spec.hosts.iter().enumerate() {
                let at = Place::Host { site, host: index };
                match HostName::parse(text) {
                    Err((message, help)) => self.report(ProblemKind::Host, at, message, help),
                    Ok(name) => match seen.insert(name.clone(), at) {
                        None => hosts.push((name, site as u32)),
                        Some(other) => {
                            let message = format!("the host `{text}` stands twice");
                            self.report(ProblemKind::SameHost, at, message, "write it once");
                            self.about(other);
                        }
                    },
                }
            }
        }
        hosts
    }

    /// Whether the number of routes is within bounds, so that an index fits in 32 bits everywhere.
    fn count(&mut self, spec: &RouterSpec) -> bool {
        let count = spec.routes.len() + spec.sites.iter().map(|s| s.routes.len()).sum::<usize>();
        let fine = count <= ROUTES_MAX;
        if !fine {
            let at = Place::Path(RouteRef { site: None, route: 0 });
            let message = format!("a server has at most {ROUTES_MAX} routes, this has {count}");
            self.report(ProblemKind::TooMany, at, message, "use captures, or another server");
        }
        fine
    }

    fn table(&mut self, site: Option<usize>, specs: &[RouteSpec]) -> Table {
        let routes = specs.iter().enumerate();
        let mut routes: Vec<Route> =
            routes.filter_map(|(route, spec)| self.route(RouteRef { site, route }, spec)).collect();
        order::check(&routes, &mut self.problems);
        let names = names(&routes, specs.len());
        order::sort(&mut routes);
        build_table(routes, names)
    }

    /// Reads one route; `None` if anything in it is wrong.
    fn route(&mut self, place: RouteRef, spec: &RouteSpec) -> Option<Route> {
        let errors = self.error_count;
        let path = self.path(place, &spec.path);
        let methods = self.methods(place, &spec.methods);
        let mut matchers = Vec::new();
        let headers = self.headers(place, &spec.headers, &mut matchers);
        let query = self.query(place, &spec.query, &mut matchers);
        let (path, shape) = path?;
        (self.error_count == errors).then_some(Route {
            place,
            path,
            shape,
            methods,
            methods_named: !spec.methods.is_empty(),
            headers,
            query,
            matchers,
        })
    }

    /// The path with its shape.
    fn path(&mut self, place: RouteRef, spec: &PathSpec) -> Option<(Path, String)> {
        let at = Place::Path(place);
        match spec {
            PathSpec::Path(text) => match Pattern::parse(text) {
                Ok(pattern) => {
                    self.doubt_literals(at, text, &pattern);
                    let shape = pattern.shape();
                    Some((Path::Pattern(pattern), shape))
                }
                Err(errors) => {
                    for error in errors {
                        self.report(ProblemKind::Pattern, at, error.message, error.help);
                        self.within(Some(error.range));
                    }
                    None
                }
            },
            PathSpec::Regex(text) => match PathRegex::compile(text) {
                Ok((regex, names)) => {
                    if !regexes::can_match_a_path(text) {
                        let message = "no path can match: each begins with `/`, and the regex \
                                       matches from its start";
                        let help = match text.strip_prefix('^') {
                            Some(rest) => format!("write `^/{rest}`"),
                            None => format!("write `^/.*{text}`"),
                        };
                        self.report(ProblemKind::Regex, at, message, help);
                    }
                    if !text.is_ascii() {
                        let message =
                            "the regex holds a character beyond ASCII, a canonical path none";
                        self.report(
                            ProblemKind::Doubtful,
                            at,
                            message,
                            "write its escapes: `%C3%A9`",
                        );
                    }
                    // No pattern's shape begins like this.
                    Some((Path::Regex(regex, names), format!("regex {text}")))
                }
                Err(fault) => {
                    self.regex_fault(at, fault);
                    None
                }
            },
        }
    }

    /// Warns of segments that are captures elsewhere and literal here.
    fn doubt_literals(&mut self, at: Place, text: &str, pattern: &Pattern) {
        for segment in &pattern.segments {
            let Segment::Literal(literal) = segment else { continue };
            let help = match literal.as_str() {
                "*" | "**" => "write `{*rest}` for the rest of the path, or `%2A`".to_owned(),
                name => match name.strip_prefix(':') {
                    Some(name) if crate::pattern::is_identifier(name) => {
                        format!("write `{{{name}}}` for a capture, or `%3A{name}`")
                    }
                    _ => continue,
                },
            };
            let message = format!("`{literal}` matches only itself");
            self.report(ProblemKind::Doubtful, at, message, help);
            self.within(text.find(literal.as_str()).map(|at| at..at + literal.len()));
        }
    }

    fn methods(&mut self, place: RouteRef, names: &[String]) -> MethodSet {
        let mut set = if names.is_empty() { MethodSet::ANY } else { MethodSet::NONE };
        for (index, name) in names.iter().enumerate() {
            let at = Place::Method(place, index);
            let is_token = !name.is_empty() && name.len() <= METHOD_BYTES_MAX;
            if !is_token || !name.bytes().all(is_token_byte) {
                let message = "a method is a token of at most 32 bytes";
                self.report(ProblemKind::Method, at, message, "write a method such as `GET`");
            } else if name.bytes().any(|b| b.is_ascii_lowercase()) {
                let help = format!("write `{}`", name.to_ascii_uppercase());
                self.report(ProblemKind::Method, at, "methods are written in capitals", help);
            } else if self.methods.set_of(name).is_never_routed() {
                let message = format!("no route takes {name}: it is answered with 405");
                self.report(ProblemKind::Method, at, message, "take it out");
            } else if let Some(method) = self.methods.intern(name) {
                set = set.with(method);
            } else {
                let message = format!("a server names at most {NAMED_MAX} methods of its own");
                self.report(ProblemKind::Method, at, message, "leave `methods` out of some route");
            }
        }
        set.with_head()
    }

    fn headers(
        &mut self,
        place: RouteRef,
        specs: &[(String, ValueMatch)],
        matchers: &mut Vec<Matcher>,
    ) -> BTreeSet<(String, ValueMatch)> {
        let mut seen = BTreeSet::new();
        for (index, (name, wanted)) in specs.iter().enumerate() {
            let at = Place::Header(place, index);
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                let help = "write a field name such as `x-canary`";
                let message = format!("`{name}` is no field name");
                self.report(ProblemKind::FieldName, at, message, help);
            }
            if let ValueMatch::Exact(text) = wanted
                && (text.trim_matches([' ', '\t']) != text
                    || text.chars().any(|c| c.is_ascii_control() && c != '\t'))
            {
                let message =
                    "no field ever has this value: its ends are trimmed, controls refused";
                self.report(ProblemKind::Matcher, at, message, "write the value without them");
            }
            let name = name.to_ascii_lowercase();
            if let Some(value) = self.value(at, wanted) {
                matchers.push(Matcher::Header { name: name.as_str().into(), value });
            }
            seen.insert((name, wanted.clone()));
        }
        seen
    }

    fn query(
        &mut self,
        place: RouteRef,
        specs: &[(String, ValueMatch)],
        matchers: &mut Vec<Matcher>,
    ) -> BTreeSet<(String, ValueMatch)> {
        for (index, (name, wanted)) in specs.iter().enumerate() {
            if let Some(value) = self.value(Place::Query(place, index), wanted) {
                matchers.push(Matcher::Query { name: name.as_str().into(), value });
            }
        }
        specs.iter().cloned().collect()
    }

    fn value(&mut self, at: Place, wanted: &ValueMatch) -> Option<Value> {
        match wanted {
            ValueMatch::Exact(text) => Some(Value::Exact(text.as_bytes().into())),
            ValueMatch::Regex(text) => match regexes::compile(text) {
                Ok(regex) => Some(Value::Regex(regex)),
                Err(fault) => {
                    self.regex_fault(at, fault);
                    None
                }
            },
        }
    }

    fn regex_fault(&mut self, at: Place, fault: RegexFault) {
        self.report(ProblemKind::Regex, at, fault.message, fault.help);
        self.within(fault.range);
    }

    fn report(
        &mut self,
        kind: ProblemKind,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        let problem = Problem { kind, at, other: None, range: None, message, help };
        self.error_count += usize::from(!problem.is_warning());
        self.problems.push(problem);
    }

    /// Adds the range to the latest problem.
    fn within(&mut self, range: Option<std::ops::Range<usize>>) {
        if let Some(problem) = self.problems.last_mut() {
            problem.range = range;
        }
    }

    /// Adds the other place to the latest problem.
    fn about(&mut self, other: Place) {
        if let Some(problem) = self.problems.last_mut() {
            problem.other = Some(other);
        }
    }
}

fn names(routes: &[Route], count: usize) -> Arc<[CaptureNames]> {
    let mut all = vec![CaptureNames::default(); count];
    for route in routes {
        all[route.place.route] = match &route.path {
            Path::Regex(_, names) => names.clone(),
            Path::Pattern(pattern) => pattern.capture_names(),
        };
    }
    all.into()
}

/// Builds the table of routes that stand in their order.
fn build_table(routes: Vec<Route>, names: Arc<[CaptureNames]>) -> Table {
    let mut matchers = Vec::new();
    let mut regexes = Vec::new();
    let (mut paths, mut wildcards) = (Vec::new(), Vec::new());
    for route in routes {
        let start = matchers.len() as u32;
        matchers.extend(route.matchers);
        let candidate = Candidate {
            methods: route.methods,
            matchers: (start, matchers.len() as u32),
            route: route.place.route as u32,
            last: true,
        };
        match route.path {
            Path::Regex(regex, _) => regexes.push((regex, candidate)),
            Path::Pattern(pattern) if pattern.rest.is_some() => {
                wildcards.push((pattern, candidate));
            }
            Path::Pattern(pattern) => paths.push((pattern, candidate)),
        }
    }
    let mut candidates = Vec::new();
    let paths = Arc::new(build_tree(&paths, Ending::Segment, &mut candidates));
    let wildcards = Arc::new(build_tree(&wildcards, Ending::Rest, &mut candidates));
    Table { paths, regexes, wildcards, candidates: candidates.into(), matchers, names }
}

/// Builds a tree, and puts the candidates of each leaf side by side.
fn build_tree(
    routes: &[(Pattern, Candidate)],
    ending: Ending,
    candidates: &mut Vec<Candidate>,
) -> Tree {
    let patterns: Vec<_> = routes.iter().map(|(pattern, _)| pattern).collect();
    let (mut tree, leaves) = Tree::build(&patterns, ending);
    let mut by_leaf: Vec<_> = leaves.iter().zip(routes).collect();
    by_leaf.sort_by_key(|(leaf, _)| **leaf); // stable: the order within a leaf stays
    let mut starts = Vec::new();
    let mut previous = None;
    for (leaf, (_, candidate)) in by_leaf {
        if previous == Some(leaf) {
            if let Some(before) = candidates.last_mut() {
                before.last = false;
            }
        } else {
            starts.push(candidates.len() as u32);
        }
        previous = Some(leaf);
        candidates.push(candidate.clone());
    }
    tree.number_leaves(|leaf| starts.get(leaf as usize).copied().unwrap_or(leaf));
    tree
}

/// A byte of a token (RFC 9110 §5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes of a method: as many as the engine takes.
const METHOD_BYTES_MAX: usize = 32;

/// Routes of one server. INVARIANT: all patterns together, each byte escaped, stay below 4 GiB, so
/// that their offsets fit in 32 bits.
const ROUTES_MAX: usize = 300_000;
const _: () = assert!(ROUTES_MAX * PATTERN_BYTES_MAX * 3 < u32::MAX as usize);

#[cfg(test)]
mod tests;
