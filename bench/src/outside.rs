//! The `route` and `allocations` groups, which measure parts of Stead in programs of their own
//! crates: the bench runs these with cargo and keeps what they print.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::record::{Limit, Run, Series};
use crate::server::locked_version;
use crate::session::{Row, Session};
use crate::table;

/// Route lookup beside the `matchit` crate: the `lookup` example of `stead-route`.
pub fn route(session: &Session) -> Result<()> {
    let output = cargo(&["run", "--release", "-p", "stead-route", "--example", "lookup"])?;
    let lookups: Vec<Lookup> = output.lines().filter_map(Lookup::parse).collect();
    ensure!(!lookups.is_empty(), "the lookup example printed no measurement: {output}");
    for (order, lookup) in lookups.into_iter().enumerate() {
        let title =
            format!("route lookup, {} {} routes with parameters", lookup.routes, lookup.name);
        let row = Row {
            group: "route",
            name: &lookup.name,
            order: order as u32,
            title: &title,
            unit: "ns per lookup",
            limit: Limit::Ratio { peer: "matchit".into(), at_most: RATIO_TO_MATCHIT_MAX },
            method: [("load".into(), "the same paths in the same shuffled order".into())].into(),
        };
        let mut record = session.record(&row);
        record.versions = [("matchit".into(), locked_version("matchit")?)].into();
        record.series = vec![lookup.stead, lookup.matchit];
        session.finish(&record)?;
    }
    Ok(())
}

/// Heap allocations per fixed answer: a test of `stead-serve` counts them and prints the number.
pub fn allocations(session: &Session) -> Result<()> {
    let output = cargo(&["test", "--release", "-p", "stead-serve", TEST, "--", "--nocapture"])?;
    let count = allocations_in(&output)
        .with_context(|| format!("no test {TEST} printed `{ALLOCATIONS} NUMBER`: {output}"))?;
    let row = Row {
        group: "allocations",
        name: "fixed",
        order: 0,
        title: "heap allocations per fixed answer, from a connection's second request on",
        unit: "allocations",
        limit: Limit::Value { at_most: 0.0, valid_from: 0.0 },
        method: [("load".into(), "counted by the allocator of a test".into())].into(),
    };
    let mut record = session.record(&row);
    record.series = vec![Series { server: "stead".into(), runs: vec![Run::new(count)] }];
    session.finish(&record)
}

/// Runs cargo in the workspace and returns what the program printed on stdout.
fn cargo(arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "cargo {} failed", arguments.join(" "));
    String::from_utf8(output.stdout).context("the output is not UTF-8")
}

/// One line of the lookup example.
struct Lookup {
    name: String,
    routes: String,
    stead: Series,
    matchit: Series,
}

impl Lookup {
    /// Reads `named: 10000 routes, … (runs: stead [1.0, 2.0], matchit [3.0, 4.0])`.
    fn parse(line: &str) -> Option<Lookup> {
        let (name, rest) = line.split_once(": ")?;
        let (routes, rest) = rest.split_once(" routes, ")?;
        let (_, runs) = rest.split_once("(runs: ")?;
        let series = |server: &str| {
            let (_, list) = runs.split_once(&format!("{server} ["))?;
            let values = list.split(']').next()?.split(", ");
            let runs: Option<Vec<Run>> =
                values.map(|value| value.parse().ok().map(Run::new)).collect();
            Some(Series { server: server.to_owned(), runs: runs? })
        };
        Some(Lookup {
            name: name.to_owned(),
            routes: table::number(routes.parse().ok()?),
            stead: series("stead")?,
            matchit: series("matchit")?,
        })
    }
}

fn allocations_in(output: &str) -> Option<f64> {
    let (_, rest) = output.split_once(ALLOCATIONS)?;
    rest.split_whitespace().next()?.parse().ok()
}

const RATIO_TO_MATCHIT_MAX: f64 = 2.0;
const TEST: &str = "allocations_per_fixed_answer";
const ALLOCATIONS: &str = "allocations per fixed answer:";

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the values are read or chosen, not computed")]
mod tests {
    use super::*;

    #[test]
    fn the_lookup_line_is_read() {
        let line = "named: 10000 routes, stead 136.2 ns, matchit 223.4 ns, ratio 0.61 \
                    (runs: stead [131.0, 134.9], matchit [222.9, 223.4])";
        let lookup = Lookup::parse(line).unwrap();
        assert_eq!((lookup.name.as_str(), lookup.routes.as_str()), ("named", "10,000"));
        assert_eq!(lookup.stead.values().max, 134.9);
        assert_eq!(lookup.matchit.values().min, 222.9);
        assert!(Lookup::parse("canonicalize: 43 bytes in 27.1 ns").is_none());
    }

    #[test]
    fn the_allocation_line_is_read() {
        let output = "running 1 test\nallocations per fixed answer: 0\ntest … ok";
        assert_eq!(allocations_in(output), Some(0.0));
        assert_eq!(allocations_in("running 0 tests"), None);
    }
}
