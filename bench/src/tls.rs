//! The `tls` group: CPU time of the server per request over TLS 1.3, on connections that stay and
//! on new ones, whose handshake is a full or a resumed one.
//!
//! Client and server agree on the same suite and the same key exchange in every run, which is
//! looked at on each connection; so is whether a handshake was the kind that the row is about.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::answer::Expected;
use crate::channel::{AGREED, Handshake, Secure};
use crate::http::FIXED;
use crate::loader::{Loader, Plan, READ_BYTES, Reuse, Totals, check_once};
use crate::record::{Limit, Record, Run};
use crate::server::{Extra, Running, Scene, Server, library_versions};
use crate::session::{Row, Session, is_wanted};
use crate::{procfs, span, wrk};

#[derive(Args, Clone, Debug)]
pub struct TlsOptions {
    /// Rows to run, separated by commas: keep-alive, full, resumed [default: all]
    #[arg(long = "tls-rows", value_delimiter = ',')]
    rows: Option<Vec<String>>,
    /// Seconds of load in each run [default: 4, quick: 1]
    #[arg(long = "tls-seconds", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
}

/// One row: how connections are used, and what is promised.
struct Work {
    name: &'static str,
    title: &'static str,
    load: Load,
    to_nginx: f64,
    to_hyper: Option<f64>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Load {
    /// wrk on connections that stay.
    KeepAlive,
    /// Our own generator, a connection for each request.
    Handshakes(Handshake),
}

const WORKS: &[Work] = &[
    Work {
        name: "keep-alive",
        title: "TLS 1.3, fixed 13-byte answer",
        load: Load::KeepAlive,
        to_nginx: 0.82,
        to_hyper: Some(1.05),
    },
    Work {
        name: "full",
        title: "TLS 1.3, full handshake and one request",
        load: Load::Handshakes(Handshake::Full),
        to_nginx: 0.60,
        to_hyper: None,
    },
    Work {
        name: "resumed",
        title: "TLS 1.3, resumed handshake and one request",
        load: Load::Handshakes(Handshake::Resumed),
        to_nginx: 1.0,
        to_hyper: None,
    },
];

pub fn run(session: &Session, options: &TlsOptions) -> Result<()> {
    for (order, work) in WORKS.iter().enumerate() {
        if is_wanted(options.rows.as_deref(), work.name) {
            session.finish(&work.record(session, options, order as u32)?)?;
        }
    }
    Ok(())
}

impl Work {
    fn record(&self, session: &Session, options: &TlsOptions, order: u32) -> Result<Record> {
        let servers = session.servers(&[Server::Nginx, Server::Hyper])?;
        let seconds = options.seconds.unwrap_or(if session.options.quick { 1 } else { 4 });
        let row = Row {
            group: "tls",
            name: self.name,
            order,
            title: self.title,
            unit: "µs CPU per request",
            limit: Limit::Ratio { peer: "nginx".into(), at_most: self.to_nginx },
            method: [
                ("load".into(), format!("{seconds} s after a warm-up, fresh process per run")),
                ("connections".into(), self.connections().to_string()),
                ("generator".into(), self.generator().into()),
                ("agreed".into(), AGREED.into()),
            ]
            .into(),
        };
        let span = Duration::from_secs(seconds);
        let mut record =
            session.rounds(&row, &servers, |server| self.measure(session, server, span))?;
        let limit = |at_most| Limit::Ratio { peer: Server::Hyper.name().into(), at_most };
        record.further.extend(self.to_hyper.map(limit));
        record.versions.extend(library_versions());
        Ok(record)
    }

    fn measure(&self, session: &Session, server: Server, length: Duration) -> Result<Run> {
        let scene = Scene { extra: Extra::Tls, ..Scene::new(&session.place, server, false)? };
        let running = Running::start(server, &scene)?;
        let secure = |handshake| Secure::new(&scene.certificate, "http/1.1", handshake);
        check_once(scene.address, "/", FIXED, Some(secure(Handshake::Full)?))?;
        let plan = |handshake, reuse| -> Result<Plan> {
            Ok(Plan {
                address: scene.address,
                path: "/".into(),
                expected: Expected::exactly(FIXED),
                connections: self.connections(),
                reuse,
                read_bytes: READ_BYTES,
                secure: Some(secure(handshake)?),
            })
        };
        let run = match self.load {
            Load::KeepAlive => {
                let plan = plan(Handshake::Full, Reuse::KeepAlive { depth: 1 })?;
                wrk::run(&plan, WARM_UP)?;
                span::measure(running.pid(), span::SETTLE, || wrk::run(&plan, length))?.0
            }
            Load::Handshakes(handshake) => {
                let mut loader = Loader::open(plan(handshake, Reuse::Never)?)?;
                loader.run(WARM_UP, u64::MAX)?;
                let opened = procfs::passive_opens()?;
                let load = || loader.run(length, u64::MAX);
                let (run, totals) = span::measure(running.pid(), span::SETTLE, load)?;
                let accepted = procfs::passive_opens()? - opened;
                ensure_each(&totals, accepted, handshake)?;
                run.with("handshakes_resumed", totals.resumed as f64)
            }
        };
        Ok(run)
    }

    fn connections(&self) -> usize {
        if self.load == Load::KeepAlive { 64 } else { HANDSHAKES }
    }

    fn generator(&self) -> &'static str {
        match self.load {
            Load::KeepAlive => "wrk, one thread",
            Load::Handshakes(Handshake::Full) => "our own on rustls, without tickets",
            Load::Handshakes(Handshake::Resumed) => "our own on rustls, a ticket each",
        }
    }
}

/// # Errors
/// Not every answer had a connection of its own, or not the handshake that is measured.
fn ensure_each(totals: &Totals, accepted: u64, handshake: Handshake) -> Result<()> {
    ensure!(
        totals.connections == totals.answers && accepted >= totals.answers,
        "{} answers over {accepted} connections: not one each",
        totals.answers
    );
    let resumed = if handshake == Handshake::Resumed { totals.answers } else { 0 };
    ensure!(
        totals.resumed == resumed,
        "{} of {} handshakes were resumed, not {resumed}",
        totals.resumed,
        totals.answers
    );
    Ok(())
}

const WARM_UP: Duration = Duration::from_secs(1);
/// Handshakes at a time. A server sends two tickets at a time and the client keeps eight: with more
/// it might have none for some.
const HANDSHAKES: usize = 4;
