//! `stead-bench`: measures Stead beside its peers on this machine.
//!
//! Each group runs its servers in interleaved rounds, the server on core 0 and the load on core 1,
//! prints a table and writes one JSON record per row; `report` makes `docs/benchmarks.md` and its
//! plots from the records alone.
//! The limits are those that Stead promises; a miss is printed as a miss.

#![forbid(unsafe_code)]

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use stead_bench::abuse::{self, AbuseOptions};
use stead_bench::clients;
use stead_bench::compress::{self, CompressOptions};
use stead_bench::http::{self, HttpOptions};
use stead_bench::http2::{self, Http2Options};
use stead_bench::idle::{self, IdleOptions};
use stead_bench::latency::{self, LatencyOptions};
use stead_bench::million::namespace::within;
use stead_bench::million::{self, CrowdOptions, beside, storm};
use stead_bench::session::{Options, Session};
use stead_bench::tls::{self, TlsOptions};
use stead_bench::{outside, reading, report};

#[derive(Parser)]
#[command(about = "Measures Stead beside its peers", version)]
struct Arguments {
    #[command(subcommand)]
    group: Group,
}

#[derive(Subcommand)]
enum Group {
    /// CPU time per request of fixed and static answers
    Http {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        http: HttpOptions,
    },
    /// CPU time per request of a page that is compressed on the fly
    Compress {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        compress: CompressOptions,
    },
    /// CPU time per request over TLS 1.3: kept connections, full and resumed handshakes
    Tls {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        tls: TlsOptions,
    },
    /// CPU time and writes per request of HTTP/2, over TLS and in the clear
    Http2 {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        http2: Http2Options,
    },
    /// Memory of idle connections; with --connections a million of them, if asked for
    Idle {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        idle: IdleOptions,
    },
    /// The longest wait when a crowd of idle connections sends at once
    Storm {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        crowd: CrowdOptions,
    },
    /// What a crowd of idle connections costs those that are busy
    Beside {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        crowd: CrowdOptions,
    },
    /// Memory of a rate limit's clients
    Clients(Options),
    /// Small answers while the same worker serves cold files
    Latency {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        latency: LatencyOptions,
    },
    /// Honest clients beside slowhttptest's attackers
    Abuse {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        abuse: AbuseOptions,
    },
    /// Time to read and check a large configuration
    Reading(Options),
    /// Route lookup beside the matchit crate
    Route(Options),
    /// Heap allocations per fixed answer
    Allocations(Options),
    /// Every group in turn, then the report: an hour
    All(Box<AllOptions>),
    /// Write docs/benchmarks.md and its plots from the records
    Report(Options),
    /// Stead alone: memory of idle connections against its budget
    Budgets(Options),
}

fn main() -> Result<()> {
    match Arguments::parse().group {
        Group::Http { options, http } => http::run(&Session::open(options)?, &http),
        Group::Compress { options, compress } => compress::run(&Session::open(options)?, &compress),
        Group::Tls { options, tls } => tls::run(&Session::open(options)?, &tls),
        Group::Http2 { options, http2 } => http2::run(&Session::open(options)?, &http2),
        Group::Abuse { options, abuse } => abuse::run(&Session::open(options)?, &abuse),
        Group::Idle { options, idle } => match idle.crowd() {
            None => idle::run(&Session::open(options)?, &idle),
            Some(count) => {
                within(|| million::hold(&Session::open(options)?, count, idle.crowd_rest()))
            }
        },
        Group::Storm { options, crowd } => within(|| storm::run(&Session::open(options)?, &crowd)),
        Group::Beside { options, crowd } => {
            within(|| beside::run(&Session::open(options)?, &crowd))
        }
        Group::Clients(options) => clients::run(&Session::open(options)?),
        Group::Reading(options) => reading::run(&Session::open(options)?),
        Group::Latency { options, latency } => latency::run(&Session::open(options)?, &latency),
        Group::Route(options) => outside::route(&Session::open(options)?),
        Group::Allocations(options) => outside::allocations(&Session::open(options)?),
        Group::All(all) => all.run(),
        Group::Report(options) => report::write(&options.out),
        Group::Budgets(options) => idle::check_budget(&Session::open(options.stead_alone())?),
    }
}

/// The options of all groups.
#[derive(Args)]
struct AllOptions {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    http: HttpOptions,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    http2: Http2Options,
    #[command(flatten)]
    compress: CompressOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    latency: LatencyOptions,
    #[command(flatten)]
    abuse: AbuseOptions,
}

impl AllOptions {
    fn run(self) -> Result<()> {
        let session = Session::open(self.options)?;
        // One group that fails must not cost the records of the others.
        let outcomes = [
            http::run(&session, &self.http),
            tls::run(&session, &self.tls),
            http2::run(&session, &self.http2),
            compress::run(&session, &self.compress),
            idle::run(&session, &self.idle),
            clients::run(&session),
            latency::run(&session, &self.latency),
            abuse::run(&session, &self.abuse),
            reading::run(&session),
            outside::route(&session),
            outside::allocations(&session),
            report::write(&session.options.out),
        ];
        outcomes.into_iter().collect()
    }
}
