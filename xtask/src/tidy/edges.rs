//! Which crate may depend on which: the only list of allowed edges.
//!
//! Dependencies point down through the tiers. An edge that is not in [`CRATES`] fails, inside the
//! workspace as well as to outside crates: the list is short so that a new one is talked about.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::workspace::{Dependency, Package};

/// Checks the manifests of all members.
pub(crate) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = package.folder.join("Cargo.toml");
        let mut find = |message: String| findings.push(Finding::new(&manifest, 0, message));
        let Some(allowed) = CRATES.iter().find(|allowed| allowed.name == package.name) else {
            find(format!(
                "`{}` is not in the list of crates (xtask/src/tidy/edges.rs)",
                package.name
            ));
            continue;
        };
        if !allowed.features && !package.features.is_empty() {
            find("cargo features belong into stead-cli and stead".into());
        }
        for dependency in &package.dependencies {
            if !allowed.permits(dependency) {
                find(format!("`{}` may not depend on `{}`", package.name, dependency.name));
            }
        }
    }
    findings
}

/// The folders of the crates that know no socket, no clock and no runtime.
pub(crate) fn pure_folders() -> impl Iterator<Item = PathBuf> {
    let pure = CRATES.iter().filter(|allowed| allowed.pure);
    pure.map(|allowed| Path::new("crates").join(allowed.name.trim_start_matches("stead-")))
}

/// What one crate may depend on.
#[derive(Debug)]
struct Allowed {
    name: &'static str,
    /// Tier 0 save `sys`.
    pure: bool,
    features: bool,
    /// Crates of the workspace, also in tests.
    inside: &'static [&'static str],
    /// Crates of others; `None` where any will do, because it is not shipped.
    outside: Option<&'static [&'static str]>,
    /// More crates, of either sort, that only its tests use.
    in_tests: &'static [&'static str],
}

impl Allowed {
    fn permits(&self, dependency: &Dependency) -> bool {
        let name = dependency.name.as_str();
        let for_tests =
            dependency.for_tests && (self.in_tests.contains(&name) || ANY_TESTS.contains(&name));
        let listed = if dependency.inside {
            self.inside.contains(&name)
        } else {
            self.outside.is_none_or(|outside| outside.contains(&name))
        };
        listed || for_tests
    }
}

const CRATES: &[Allowed] = &[
    // Tier 0: pure, no sockets, no clock, no runtime.
    pure("stead-base", &[], &[]),
    pure("stead-derive", &[], &["proc-macro2", "quote", "syn"]),
    pure("stead-disk", &[], &[]),
    pure("stead-config", &["stead-base", "stead-derive", "stead-disk"], &["serde_json", "toml"]),
    pure("stead-http1", &["stead-base"], &["http", "httparse", "itoa", "memchr"]).in_tests(&[
        "allocation-counter",
        "bytes",
        "hyper",
        "tokio",
    ]),
    pure("stead-route", &["stead-base"], &["memchr", "regex", "regex-automata", "regex-syntax"])
        .in_tests(&["matchit"]),
    pure("stead-preamble", &["stead-base"], &[]),
    pure("stead-http2", &["stead-base"], &[]),
    // Tier 0 too, but it is the one that speaks to the system. Its feature calls the allocator of
    // the binary, which must not be linked into the library.
    Allowed {
        features: true,
        ..shipped("stead-sys", &["stead-base"], &["libc", "libmimalloc-sys", "rustix", "tokio"])
    },
    // Tier 1: of outside crates nothing but `http` and `bytes` may appear in its public interface;
    // what it uses of `httpdate` are functions on numbers.
    shipped(
        "stead-core",
        &["stead-base", "stead-config", "stead-http1", "stead-route", "stead-sys"],
        &["bytes", "http", "httpdate"],
    ),
    // Tier 2: input and output.
    shipped(
        "stead-net",
        &["stead-base", "stead-core", "stead-sys"],
        &["rustix", "socket2", "tokio"],
    ),
    // The only crate that opens sessions of rustls; `acme` is a client by it.
    shipped(
        "stead-tls",
        &["stead-base", "stead-core", "stead-disk", "stead-preamble", "stead-sys"],
        &["arc-swap", "aws-lc-rs", "rcgen", "rustls", "tracing", "x509-parser"],
    )
    .in_tests(&["libc"]),
    shipped(
        "stead-serve",
        &[
            "stead-base",
            "stead-core",
            "stead-http1",
            "stead-http2",
            "stead-net",
            "stead-preamble",
            "stead-route",
            "stead-sys",
            "stead-tls",
        ],
        &["bytes", "h2", "http", "itoa", "jiff", "rustix", "tokio", "tracing"],
    )
    .in_tests(&["serde_json", "stead-config", "stead-handlers"]),
    // Tier 3: features know no listener.
    shipped(
        "stead-handlers",
        &["stead-base", "stead-config", "stead-core", "stead-http1", "stead-route", "stead-sys"],
        &["bytes", "http", "httpdate"],
    ),
    shipped(
        "stead-middleware",
        &[
            "stead-base",
            "stead-config",
            "stead-core",
            "stead-disk",
            "stead-http1",
            "stead-route",
            "stead-sys",
        ],
        &[
            "argon2", "base64", "bcrypt", "blake2", "brotli", "bytes", "flate2", "http",
            "httpdate", "tokio", "zstd",
        ],
    )
    .in_tests(&["allocation-counter", "rustix"]),
    // The tower edge: the only crate that knows hyper and the traits of tower.
    shipped(
        "stead-tower",
        &["stead-base", "stead-core", "stead-http1", "stead-sys"],
        &["bytes", "http", "http-body", "hyper", "tokio", "tower-service", "tracing"],
    )
    .in_tests(&["http-body-util", "tower"]),
    // Its HTTP client is of the control plane: few requests, made by a thread of their own.
    shipped(
        "stead-acme",
        &["stead-base", "stead-disk"],
        &[
            "base64",
            "bytes",
            "http",
            "http-body-util",
            "httpdate",
            "hyper-rustls",
            "hyper-util",
            "instant-acme",
            "rcgen",
            "rustix",
            "rustls",
            "rustls-native-certs",
            "serde_json",
            "tokio",
            "tracing",
            "x509-parser",
        ],
    ),
    // Tier 4: what joins them.
    Allowed {
        features: true,
        ..shipped(
            "stead",
            &[
                "stead-acme",
                "stead-base",
                "stead-config",
                "stead-core",
                "stead-disk",
                "stead-handlers",
                "stead-http1",
                "stead-middleware",
                "stead-net",
                "stead-route",
                "stead-serve",
                "stead-sys",
                "stead-tls",
                "stead-tower",
            ],
            &[
                "axum",
                "bytes",
                "http",
                "jiff",
                "rustix",
                "serde_json",
                "thiserror",
                "tokio",
                "tracing",
            ],
        )
        .in_tests(&[
            "futures-util",
            "h2",
            "http-body",
            "http-body-util",
            "rcgen",
            "rustls",
            "tokio-tungstenite",
            "tower",
            "tower-http",
        ])
    },
    Allowed {
        features: true,
        ..shipped(
            "stead-cli",
            &["stead", "stead-base", "stead-config", "stead-http1", "stead-sys"],
            &[
                "anyhow",
                "clap",
                "clap_complete",
                "mimalloc",
                "rustix",
                "serde_json",
                "tokio",
                "tracing",
                "tracing-subscriber",
            ],
        )
    },
    // Not shipped.
    tool("xtask", &[]),
    tool(
        "stead-testing",
        &["stead-base", "stead-config", "stead-core", "stead-http1", "stead-route", "stead-sys"],
    ),
    tool("stead-examples", &["stead"]),
    tool("stead-e2e", &["stead-base", "stead-http1"]),
    tool("stead-bench", &["stead", "stead-base", "stead-http1", "stead-route", "stead-sys"]),
    tool(
        "stead-fuzz-targets",
        &[
            "stead-base",
            "stead-config",
            "stead-handlers",
            "stead-http1",
            "stead-http2",
            "stead-preamble",
            "stead-route",
        ],
    ),
];

/// Outside crates that any crate's tests may use.
const ANY_TESTS: &[&str] = &["proptest", "stead-testing", "tempfile"];

const fn shipped(
    name: &'static str,
    inside: &'static [&'static str],
    outside: &'static [&'static str],
) -> Allowed {
    Allowed { name, pure: false, features: false, inside, outside: Some(outside), in_tests: &[] }
}

const fn pure(
    name: &'static str,
    inside: &'static [&'static str],
    outside: &'static [&'static str],
) -> Allowed {
    Allowed { pure: true, ..shipped(name, inside, outside) }
}

const fn tool(name: &'static str, inside: &'static [&'static str]) -> Allowed {
    Allowed { outside: None, ..shipped(name, inside, &[]) }
}

impl Allowed {
    const fn in_tests(self, in_tests: &'static [&'static str]) -> Self {
        Self { in_tests, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: Vec<Dependency>) -> Package {
        let folder = PathBuf::from("crates").join(name);
        Package { name: name.into(), folder, dependencies, features: vec![] }
    }

    fn edge(name: &str, inside: bool, for_tests: bool) -> Dependency {
        Dependency { name: name.into(), for_tests, inside }
    }

    fn check_edge(from: &str, to: Dependency, fine: bool) {
        let shown = format!("{from} on {}", to.name);
        assert_eq!(check(&[package(from, vec![to])]).is_empty(), fine, "{shown}");
    }

    #[test]
    fn edges_point_down() {
        check_edge("stead-serve", edge("stead-net", true, false), true);
        check_edge("stead-net", edge("stead-serve", true, false), false);
        check_edge("stead-handlers", edge("stead-net", true, false), false);
        check_edge("stead-config", edge("stead-core", true, true), false);
    }

    #[test]
    fn tier_zero_has_no_runtime_but_in_tests() {
        check_edge("stead-http1", edge("tokio", false, false), false);
        check_edge("stead-http1", edge("tokio", false, true), true);
        check_edge("stead-route", edge("tokio", false, true), false);
        check_edge("stead-sys", edge("rustix", false, false), true);
    }

    #[test]
    fn core_shows_no_outside_type_but_http_and_bytes() {
        check_edge("stead-core", edge("bytes", false, false), true);
        check_edge("stead-core", edge("rustix", false, false), false);
    }

    #[test]
    fn an_unknown_crate_is_a_finding() {
        assert_eq!(check(&[package("stead-helpers", vec![])]).len(), 1);
    }

    #[test]
    fn features_only_where_they_may_be() {
        let mut with = package("stead-net", vec![]);
        with.features.push("tls".into());
        assert_eq!(check(&[with]).len(), 1);
    }

    #[test]
    fn every_listed_edge_leads_to_a_listed_crate_above_it() {
        for (place, allowed) in CRATES.iter().enumerate() {
            for inside in allowed.inside {
                let found = CRATES[..place].iter().any(|earlier| earlier.name == *inside);
                assert!(found, "{} lists {inside}, which does not come before it", allowed.name);
            }
        }
    }
}
