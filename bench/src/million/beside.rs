//! The row `beside`: what a crowd at rest costs those who are busy.
//!
//! One server, first with 64 busy connections alone, then with the crowd beside them. The value is
//! the time of a request with the crowd over the time without.

use std::time::Duration;

use anyhow::Result;

use super::{CrowdOptions, Crowded};
use crate::answer::Expected;
use crate::http::FIXED;
use crate::loader::{Loader, Plan, READ_BYTES, Reuse};
use crate::record::{Limit, Run};
use crate::server::Server;
use crate::session::{Row, Session};
use crate::span;

/// # Errors
/// A connection was lost or gave a wrong answer.
pub fn run(session: &Session, options: &CrowdOptions) -> Result<()> {
    let count = options.connections;
    let servers = session.servers(&[Server::Nginx])?;
    let row = Row {
        group: "million",
        name: "beside",
        order: 2,
        title: "time of a request on 64 busy connections, with a crowd at rest over without",
        unit: "of the time without",
        limit: Limit::Value { at_most: AT_MOST, valid_from: VALID_FROM },
        method: [
            ("connections".into(), format!("{BUSY} busy, {count} at rest")),
            ("command".into(), format!("`cargo xtask bench beside --connections {count}`")),
            ("span".into(), format!("{} s each, after a warm-up", SPAN.as_secs())),
            ("idle timeouts".into(), "off".into()),
        ]
        .into(),
    };
    let record = session.rounds(&row, &servers, |server| compare(session, server, count))?;
    session.finish(&record)
}

fn compare(session: &Session, server: Server, count: u32) -> Result<Run> {
    let mut crowd = Crowded::start(session, server, count)?;
    let mut busy = Loader::open(Plan {
        address: crowd.scene.address,
        path: "/".into(),
        expected: Expected::exactly(FIXED),
        connections: BUSY,
        reuse: Reuse::KeepAlive { depth: 1 },
        read_bytes: READ_BYTES,
        secure: None,
    })?;
    let server = crowd.running.pid();
    busy.run(WARM_UP, u64::MAX)?;
    let (alone, _) = span::measure(server, span::SETTLE, || busy.run(SPAN, u64::MAX))?;
    crowd.open_until(count)?;
    crowd.rest(REST)?;
    busy.run(WARM_UP, u64::MAX)?;
    let (beside, _) = span::measure(server, span::SETTLE, || busy.run(SPAN, u64::MAX))?;
    let rate = |run: &Run| run.details.get("requests_per_second").copied().unwrap_or(f64::NAN);
    drop(busy);
    let workers = f64::from(crowd.scene.workers);
    crowd.end()?;
    let ratio = rate(&alone) / rate(&beside);
    let run = Run::new(ratio)
        .with("alone_per_second", rate(&alone))
        .with("beside_per_second", rate(&beside))
        .with("alone_micros", alone.value)
        .with("beside_micros", beside.value)
        .with("workers", workers);
    Ok(beside
        .details
        .into_iter()
        .filter(|(name, _)| name.ends_with("percent"))
        .fold(run, |run, (name, value)| run.with(&name, value)))
}

const BUSY: usize = 64;
/// Nine tenths of the requests per second.
const AT_MOST: f64 = 1.0 / 0.9;
const VALID_FROM: f64 = 0.5;
const WARM_UP: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(8);
const REST: Duration = Duration::from_secs(5);
