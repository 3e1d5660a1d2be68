//! The `http2` group: CPU time of the server per request, and its writes, when many streams share a
//! few connections.
//!
//! Answers that become ready together can leave in one write; a server that writes each on its own
//! pays for it. Over TLS every server agrees on the same suite and key exchange.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::answer::Expected;
use crate::channel::{AGREED, Handshake, Secure};
use crate::crowd::{Crowd, Protocol, Visit};
use crate::h2load::{self, Plan};
use crate::http::FIXED;
use crate::record::{Limit, Record, Run};
use crate::server::{Extra, Running, Scene, Server, kilobyte, library_versions};
use crate::session::{Row, Session, is_wanted};
use crate::{span, writes};

#[derive(Args, Clone, Debug)]
pub struct Http2Options {
    /// Rows to run, separated by commas: tls, clear, clear-1k, clear-file [default: all]
    #[arg(long = "http2-rows", value_delimiter = ',')]
    rows: Option<Vec<String>>,
    /// Seconds of load in each run [default: 4, quick: 1]
    #[arg(long = "http2-seconds", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
}

/// One row: what is asked for, and what is promised.
struct Work {
    name: &'static str,
    title: &'static str,
    path: &'static str,
    extra: Extra,
    to_nginx: f64,
    /// hyper has no files: where a row is about them it answers the same bytes from memory.
    to_hyper: Option<f64>,
}

const WORKS: &[Work] = &[
    Work {
        name: "tls",
        title: "HTTP/2 over TLS, fixed 13-byte answer",
        path: "/",
        extra: Extra::TlsHttp2,
        to_nginx: 0.62,
        to_hyper: Some(1.05),
    },
    Work {
        name: "clear",
        title: "HTTP/2 in the clear, fixed 13-byte answer",
        path: "/",
        extra: Extra::ClearHttp2,
        to_nginx: 0.42,
        to_hyper: Some(1.05),
    },
    Work {
        name: "clear-1k",
        title: "HTTP/2 in the clear, fixed answer of 1 KB",
        path: "/kilobyte",
        extra: Extra::ClearHttp2,
        to_nginx: 0.42,
        to_hyper: Some(1.05),
    },
    Work {
        name: "clear-file",
        title: "HTTP/2 in the clear, static file of 1 KB",
        path: "/kilobyte.txt",
        extra: Extra::ClearHttp2,
        to_nginx: 0.42,
        to_hyper: None,
    },
];

pub fn run(session: &Session, options: &Http2Options) -> Result<()> {
    fs::write(session.place.root().join("kilobyte.txt"), kilobyte()).context("write the file")?;
    for (order, work) in WORKS.iter().enumerate() {
        if is_wanted(options.rows.as_deref(), work.name) {
            session.finish(&work.record(session, options, order as u32)?)?;
        }
    }
    Ok(())
}

impl Work {
    fn record(&self, session: &Session, options: &Http2Options, order: u32) -> Result<Record> {
        let servers = session.servers(&[Server::Nginx, Server::Hyper])?;
        let seconds = options.seconds.unwrap_or(if session.options.quick { 1 } else { 4 });
        let mut row = Row {
            group: "http2",
            name: self.name,
            order,
            title: self.title,
            unit: "µs CPU per request",
            limit: Limit::Ratio { peer: "nginx".into(), at_most: self.to_nginx },
            method: [
                ("load".into(), format!("{seconds} s after a warm-up, fresh process per run")),
                ("connections".into(), format!("{CONNECTIONS}, each with {STREAMS} streams")),
                ("generator".into(), "h2load, one thread".into()),
            ]
            .into(),
        };
        if self.extra.is_secure() {
            row.method.insert("agreed".into(), AGREED.into());
        }
        let span = Duration::from_secs(seconds);
        let mut record =
            session.rounds(&row, &servers, |server| self.measure(session, server, span))?;
        let limit = |at_most| Limit::Ratio { peer: Server::Hyper.name().into(), at_most };
        record.further.extend(self.to_hyper.map(limit));
        record.versions.extend(library_versions());
        Ok(record)
    }

    fn measure(&self, session: &Session, server: Server, length: Duration) -> Result<Run> {
        let scene = Scene { extra: self.extra, ..Scene::new(&session.place, server, false)? };
        let running = Running::start(server, &scene)?;
        self.check(&scene)?;
        let plan = Plan {
            address: scene.address,
            path: self.path.into(),
            secure: self.extra.is_secure(),
            connections: CONNECTIONS,
            streams: STREAMS,
        };
        h2load::run(&plan, WARM_UP)?;
        let (run, _) = span::measure(running.pid(), span::SETTLE, || h2load::run(&plan, length))?;
        let count = || h2load::run(&plan, WARM_UP);
        let writes = writes::per_answer(running.pid(), &scene.work, count)?;
        Ok(match writes {
            Some(writes) => run.with("writes_per_request", writes),
            None => run,
        })
    }

    /// One answer, compared.
    fn check(&self, scene: &Scene) -> Result<()> {
        let body = if self.path == "/" { FIXED.to_vec() } else { kilobyte().into_bytes() };
        let secure = || Secure::new(&scene.certificate, "h2", Handshake::Full);
        let visit = Visit {
            address: scene.address,
            path: self.path.into(),
            expected: Expected::exactly(&body),
            secure: self.extra.is_secure().then(secure).transpose()?,
            protocol: Protocol::Http2,
        };
        Crowd::open(visit, 1).context("check before the load")?;
        Ok(())
    }
}

const CONNECTIONS: usize = 16;
const STREAMS: usize = 50;
const WARM_UP: Duration = Duration::from_secs(1);
