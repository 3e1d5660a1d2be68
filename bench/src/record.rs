//! What a bench leaves behind: one JSON file per row with every run, the machine and the versions.
//!
//! Tables, plots and `docs/benchmarks.md` are made from these records alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::million::ramp::Sample;
use crate::procfs;

/// One row of the table: the same work on several servers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Record {
    pub group: String,
    pub name: String,
    /// Place in the group.
    pub order: u32,
    pub title: String,
    /// Unit of the runs' values, for example `µs CPU per request`.
    pub unit: String,
    pub limit: Limit,
    /// What Stead also promises of the same runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Limit>,
    pub date: String,
    pub machine: Machine,
    pub versions: BTreeMap<String, String>,
    /// How the load was made: seconds, connections and so on.
    pub method: BTreeMap<String, String>,
    pub series: Vec<Series>,
    /// The way up to many connections, of Stead's last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ramp: Vec<Sample>,
}

/// What Stead's value may be.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// At most this many times the peer's value of the same round.
    Ratio { peer: String, at_most: f64 },
    /// At most this value; below `valid_from` the measurement itself is wrong.
    Value { at_most: f64, valid_from: f64 },
    /// Nothing is promised.
    Nothing,
}

/// The runs of one server, in the order of the rounds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Series {
    pub server: String,
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub value: f64,
    /// Further figures by name; the unit ends the name.
    pub details: BTreeMap<String, f64>,
}

/// Median and extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// Whether a row is met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Met,
    Missed,
    /// The value is below what is possible.
    Invalid,
    /// Stead or the peer was not measured.
    Open,
    /// Nothing is promised.
    NoLimit,
}

impl Run {
    pub fn new(value: f64) -> Run {
        Run { value, details: BTreeMap::new() }
    }

    pub fn with(mut self, name: &str, value: f64) -> Run {
        self.details.insert(name.to_owned(), value);
        self
    }
}

impl Series {
    pub fn values(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| run.value)).unwrap_or(Spread::NOTHING)
    }

    /// Spread of one detail, where every run has it.
    pub fn detail(&self, name: &str) -> Option<Spread> {
        let values: Option<Vec<f64>> =
            self.runs.iter().map(|run| run.details.get(name).copied()).collect();
        Spread::of(values?)
    }
}

impl Record {
    pub fn series(&self, server: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.server == server)
    }

    /// A server's values over the reference's values of the same rounds.
    pub fn ratio(&self, server: &str) -> Option<Spread> {
        self.ratio_to(server, self.reference())
    }

    fn ratio_to(&self, server: &str, peer: &str) -> Option<Spread> {
        let own = &self.series(server)?.runs;
        let reference = &self.series(peer)?.runs;
        Spread::of(own.iter().zip(reference).map(|(own, other)| own.value / other.value))
    }

    /// Everything that is promised of this row.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        std::iter::once(&self.limit).chain(&self.further)
    }

    /// The peer that others are compared with.
    pub fn reference(&self) -> &str {
        match &self.limit {
            Limit::Ratio { peer, .. } => peer,
            Limit::Value { .. } | Limit::Nothing => "nginx",
        }
    }

    /// What is held against one of the row's limits: a ratio or a value.
    pub fn measured(&self, limit: &Limit) -> Option<Spread> {
        match limit {
            Limit::Ratio { peer, .. } => self.ratio_to(SUBJECT, peer),
            Limit::Value { .. } | Limit::Nothing => self.series(SUBJECT).map(Series::values),
        }
    }

    pub fn verdict(&self, limit: &Limit) -> Verdict {
        let Some(measured) = self.measured(limit) else { return Verdict::Open };
        match limit {
            Limit::Nothing => Verdict::NoLimit,
            Limit::Value { valid_from, .. } if measured.median < *valid_from => Verdict::Invalid,
            Limit::Value { at_most, .. } | Limit::Ratio { at_most, .. } => {
                if measured.median <= *at_most { Verdict::Met } else { Verdict::Missed }
            }
        }
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}-{}.json", self.group, self.name));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text + "\n").with_context(|| format!("write {}", path.display()))
    }

    /// All records of a folder, in the order of the table.
    pub fn read_all(folder: &Path) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                let record: Record = serde_json::from_str(&procfs::read(&path)?)
                    .with_context(|| format!("decode {}", path.display()))?;
                records.push(record);
            }
        }
        records.sort_by_key(|record| (record.group.clone(), record.order));
        Ok(records)
    }
}

impl Spread {
    const NOTHING: Spread = Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN };

    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Spread { median, min, max })
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Invalid => "INVALID",
            Verdict::Open => "not measured",
            Verdict::NoLimit => "no limit",
        }
    }
}

/// The server that the limits are about.
pub const SUBJECT: &str = "stead";

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the values are read or chosen, not computed")]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(limit: Limit, stead: &[f64], nginx: &[f64]) -> Record {
        let series = |server: &str, values: &[f64]| Series {
            server: server.into(),
            runs: values.iter().map(|value| Run::new(*value)).collect(),
        };
        Record {
            group: "http".into(),
            name: "fixed".into(),
            order: 1,
            title: "fixed".into(),
            unit: "µs".into(),
            limit,
            further: Vec::new(),
            date: "2026-01-31".into(),
            machine: Machine {
                cpu: "x".into(),
                cores: 2,
                memory_gib: 1.0,
                kernel: "6".into(),
                hypervisor: false,
            },
            versions: BTreeMap::new(),
            method: BTreeMap::new(),
            series: vec![series("stead", stead), series("nginx", nginx)],
            ramp: Vec::new(),
        }
    }

    #[test]
    fn ratio_is_taken_round_by_round() {
        let limit = Limit::Ratio { peer: "nginx".into(), at_most: 0.5 };
        let record = record(limit, &[1.0, 2.0, 9.0], &[2.0, 4.0, 10.0]);
        assert_eq!(record.measured(&record.limit).unwrap().median, 0.5);
        assert_eq!(record.measured(&record.limit).unwrap().max, 0.9);
        assert_eq!(record.verdict(&record.limit), Verdict::Met);
    }

    #[test]
    fn every_limit_is_judged_on_its_own() {
        let ratio = |at_most| Limit::Ratio { peer: "nginx".into(), at_most };
        let mut record = record(ratio(0.5), &[1.0], &[1.5]);
        record.further = vec![ratio(0.7), Limit::Nothing];
        let verdicts: Vec<Verdict> = record.limits().map(|limit| record.verdict(limit)).collect();
        assert_eq!(verdicts, [Verdict::Missed, Verdict::Met, Verdict::NoLimit]);
    }

    #[test]
    fn values_are_judged_on_both_sides() {
        let verdict = |value| {
            let limit = Limit::Value { at_most: 128.0, valid_from: 72.0 };
            record(limit.clone(), &[value], &[900.0]).verdict(&limit)
        };
        assert_eq!(verdict(52.0), Verdict::Invalid);
        assert_eq!(verdict(100.0), Verdict::Met);
        assert_eq!(verdict(129.0), Verdict::Missed);
        let mut without = record(Limit::Value { at_most: 1.0, valid_from: 0.0 }, &[1.0], &[1.0]);
        without.series.remove(0);
        assert_eq!(without.verdict(&without.limit), Verdict::Open);
    }

    #[test]
    fn records_survive_the_file() {
        let folder = std::env::temp_dir().join(format!("records-{}", std::process::id()));
        let limit = Limit::Ratio { peer: "nginx".into(), at_most: 0.5 };
        record(limit, &[1.25], &[2.5]).write(&folder).unwrap();
        let back = Record::read_all(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].measured(&back[0].limit).unwrap().median, 0.5);
    }

    #[test]
    fn median_of_an_even_number() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert!(Spread::of([]).is_none());
    }
}
