//! One invocation of the bench: its options, its folder, the servers chosen, and the rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::machine::{self, Machine};
use crate::record::{Limit, Record, Run, Series};
use crate::server::{Place, Server};
use crate::table;

/// Options that every group takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Peers to run beside Stead, separated by commas; default: those that fit the row
    #[arg(long, value_delimiter = ',')]
    pub peers: Option<Vec<Server>>,
    /// Only the peer of the limit, three short runs: a look that leaves no record
    #[arg(long)]
    pub quick: bool,
    /// Interleaved runs of every server, 1 to 50 [default: 5, quick: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: Option<u32>,
    /// Measure the peers alone
    #[arg(long)]
    pub no_stead: bool,
    /// The stead binary [default: the one beside this program]
    #[arg(long, env = "STEAD_BIN")]
    stead: Option<PathBuf>,
    /// Folder for records and temporary files, on a real disk
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/out"))]
    pub out: PathBuf,
}

impl Options {
    /// The same without peers and with few runs.
    pub fn stead_alone(self) -> Options {
        let runs = self.runs.or(Some(RUNS_ALONE));
        Options { peers: Some(Vec::new()), runs, no_stead: false, ..self }
    }
}

/// What one row of the table is.
pub struct Row<'a> {
    pub group: &'a str,
    pub name: &'a str,
    pub order: u32,
    pub title: &'a str,
    pub unit: &'a str,
    pub limit: Limit,
    pub method: BTreeMap<String, String>,
}

pub struct Session {
    pub options: Options,
    pub place: Place,
    pub descriptors: u64,
    machine: Machine,
    built: std::cell::RefCell<BTreeSet<Server>>,
}

impl Session {
    pub fn open(options: Options) -> Result<Session> {
        let machine = Machine::describe()?;
        ensure!(machine.cores >= 2, "the bench needs two cores, this machine has one");
        machine::bind_to_load_core()?;
        let descriptors = machine::raise_descriptor_limit()?.min(DESCRIPTORS_MAX);
        let stead = match &options.stead {
            Some(path) => path.canonicalize().with_context(|| format!("{}", path.display()))?,
            None => std::env::current_exe()?.with_file_name("stead"),
        };
        let place = Place::create(&options.out, descriptors, stead)?;
        let built = std::cell::RefCell::default();
        Ok(Session { options, place, descriptors, machine, built })
    }

    /// Stead, unless left out, and the peers chosen among those that fit.
    pub fn servers(&self, fitting: &[Server]) -> Result<Vec<Server>> {
        let chosen = match &self.options.peers {
            Some(peers) => {
                fitting.iter().copied().filter(|peer| peers.contains(peer)).collect::<Vec<_>>()
            }
            None if self.options.quick => fitting.iter().copied().take(1).collect(),
            None => fitting.to_vec(),
        };
        let stead = (!self.options.no_stead).then_some(Server::Stead);
        let servers: Vec<Server> = stead.into_iter().chain(chosen).collect();
        let mut built = self.built.borrow_mut();
        let missing: Vec<Server> =
            servers.iter().copied().filter(|server| !built.contains(server)).collect();
        self.place.build(&missing)?;
        built.extend(missing);
        Ok(servers)
    }

    pub fn runs(&self) -> u32 {
        self.options.runs.unwrap_or(if self.options.quick { 3 } else { 5 })
    }

    /// Runs every server once per round, so that drift of the machine meets all alike.
    pub fn rounds(
        &self,
        row: &Row,
        servers: &[Server],
        measure: impl FnMut(Server) -> Result<Run>,
    ) -> Result<Record> {
        self.some_rounds(self.runs(), row, servers, measure)
    }

    /// As many runs as were asked for, else so many.
    pub fn runs_or(&self, runs: u32) -> u32 {
        self.options.runs.unwrap_or(runs)
    }

    /// The same, with so many rounds.
    pub fn some_rounds(
        &self,
        rounds: u32,
        row: &Row,
        servers: &[Server],
        mut measure: impl FnMut(Server) -> Result<Run>,
    ) -> Result<Record> {
        let name = |server: &Server| server.name().to_owned();
        let mut record = self.record(row);
        record.series =
            servers.iter().map(|it| Series { server: name(it), runs: Vec::new() }).collect();
        for round in 1..=rounds {
            for (server, series) in servers.iter().zip(&mut record.series) {
                let run = measure(*server)
                    .with_context(|| format!("{} {}, round {round}", row.name, server.name()))?;
                eprintln!(
                    "{:>10} {round}/{} {:<10} {:>12.3} {}{}",
                    row.name,
                    rounds,
                    server.name(),
                    run.value,
                    row.unit,
                    noise(&run)
                );
                series.runs.push(run);
            }
        }
        record.versions = servers.iter().map(|it| (name(it), self.place.version(*it))).collect();
        record.method.insert("runs".into(), format!("{rounds} interleaved"));
        Ok(record)
    }

    /// Prints a finished record and keeps it; a quick look must not replace a measurement.
    pub fn finish(&self, record: &Record) -> Result<()> {
        table::print(record);
        if self.options.quick { Ok(()) } else { record.write(&self.options.out) }
    }

    /// A record of this row without series.
    pub fn record(&self, row: &Row) -> Record {
        Record {
            group: row.group.into(),
            name: row.name.into(),
            order: row.order,
            title: row.title.into(),
            unit: row.unit.into(),
            limit: row.limit.clone(),
            further: Vec::new(),
            date: machine::today(),
            machine: self.machine.clone(),
            versions: BTreeMap::new(),
            method: row.method.clone(),
            series: Vec::new(),
            ramp: Vec::new(),
        }
    }
}

/// Whether a row is among those that were asked for; all are where none was named.
pub fn is_wanted(rows: Option<&[String]>, name: &str) -> bool {
    rows.is_none_or(|rows| rows.iter().any(|row| row == name))
}

/// A warning where something else used the server's core, or the hypervisor took time.
fn noise(run: &Run) -> String {
    let detail = |name| run.details.get(name).copied().unwrap_or(0.0);
    let (foreign, steal) = (detail(FOREIGN_PERCENT), detail(STEAL_PERCENT));
    if foreign > FOREIGN_PERCENT_MAX || steal > STEAL_PERCENT_MAX {
        format!("   noisy: others used {foreign:.0} % of the core, steal {steal:.0} %")
    } else {
        String::new()
    }
}

/// Detail: share of the server's core that others used.
pub const FOREIGN_PERCENT: &str = "foreign_percent";
/// Detail: share of the server's core that the hypervisor took.
pub const STEAL_PERCENT: &str = "steal_percent";
/// Above these a run is called noisy.
pub const FOREIGN_PERCENT_MAX: f64 = 5.0;
pub const STEAL_PERCENT_MAX: f64 = 1.0;
const RUNS_ALONE: u32 = 3;
/// Descriptors a process may have in the bench, on whatever machine: figures stay comparable.
const DESCRIPTORS_MAX: u64 = 20_000;
