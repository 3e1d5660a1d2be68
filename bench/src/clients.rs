//! The `clients` group: what a rate limit remembers of each client, in memory.
//!
//! A million clients, told apart by a header field, ask once each; what the server's Pss grew by,
//! over their number, is what one costs. Some ask again in the end: whoever was forgotten would be
//! let through once more.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::http::FIXED;
use crate::procfs::{self, CpuMark};
use crate::record::{Limit, Run};
use crate::server::{Extra, Running, Scene, Server};
use crate::session::{Row, Session};

pub fn run(session: &Session) -> Result<()> {
    let path = session.place.root().join(FILE);
    fs::write(&path, FIXED).context("write the file")?;
    // The answers of a file that was just written change once: its ETag becomes a strong one.
    File::options().write(true).open(&path)?.set_modified(UNIX_EPOCH + AN_AGE)?;
    let row = Row {
        group: "clients",
        name: "rate_limit",
        order: 0,
        title: "rate limit, a client among a million",
        unit: "bytes per client",
        limit: Limit::Value { at_most: BYTES_MAX, valid_from: BYTES_MIN },
        method: [
            ("clients".into(), format!("{CLIENTS}, each named by a header field")),
            ("load".into(), format!("{CONNECTIONS} connections, each a request at a time")),
        ]
        .into(),
    };
    let servers = session.servers(&[Server::Nginx])?;
    let record = session.rounds(&row, &servers, |server| measure(session, server, CLIENTS))?;
    session.finish(&record)
}

fn measure(session: &Session, server: Server, count: u32) -> Result<Run> {
    let scene = Scene { extra: Extra::RateLimit, ..Scene::new(&session.place, server, false)? };
    let mut running = Running::start(server, &scene)?;
    let family = procfs::family(running.pid())?;
    let mut load = Load::open(scene.address)?;
    // What the first requests take once is not the clients'.
    load.ask(count..count + 100)?;
    sleep(QUIET);
    let base = procfs::memory(&family)?;
    let tenth = count / 10;
    let first = micros(running.pid(), tenth, || load.ask(0..tenth))?;
    load.ask(tenth..count - tenth)?;
    let last = micros(running.pid(), tenth, || load.ask(count - tenth..count))?;
    sleep(QUIET);
    let full = procfs::memory(&family)?;
    for known in (0..count).step_by(count as usize / 100) {
        ensure!(is_refused(scene.address, known)?, "client {known} was forgotten");
    }
    running.end();
    let bytes = full.pss.saturating_sub(base.pss) as f64 / f64::from(count);
    Ok(Run::new(bytes).with("first_micros", first).with("last_micros", last))
}

/// The server's CPU time per request, in µs.
fn micros(pid: u32, count: u32, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let mark = CpuMark::now(pid)?;
    work()?;
    Ok(mark.spent()?.total_ns as f64 / 1000.0 / f64::from(count))
}

/// Connections that speak for many clients, each for one at a time.
struct Load {
    sockets: Vec<TcpStream>,
    /// An answer that lets a client through has the same length each time.
    answer: Vec<u8>,
}

impl Load {
    fn open(address: SocketAddr) -> Result<Load> {
        let mut sockets = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            sockets.push(socket);
        }
        let mut first = sockets.first().context("there are connections")?;
        first.write_all(request(u32::MAX, "").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(FIXED) {
            let mut piece = [0; 1024];
            let count = first.read(&mut piece).context("read the first answer")?;
            ensure!(count > 0, "the first answer broke off");
            answer.extend_from_slice(&piece[..count]);
        }
        Ok(Load { sockets, answer })
    }

    /// Asks once for each client; every one must be let through.
    fn ask(&mut self, mut clients: Range<u32>) -> Result<()> {
        while !clients.is_empty() {
            let from = clients.start;
            let mut asked = Vec::with_capacity(CONNECTIONS);
            for (socket, client) in self.sockets.iter_mut().zip(&mut clients) {
                socket.write_all(request(client, "").as_bytes())?;
                asked.push(socket);
            }
            for socket in asked {
                socket.read_exact(&mut self.answer).context("read an answer")?;
                ensure!(self.answer.starts_with(OK), "a client from {from} on was refused");
            }
        }
        Ok(())
    }
}

/// Whether a client that asks once more is refused.
fn is_refused(address: SocketAddr, client: u32) -> Result<bool> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(request(client, "Connection: close\r\n").as_bytes())?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(!answer.starts_with(OK))
}

fn request(client: u32, fields: &str) -> String {
    format!("GET /{FILE} HTTP/1.1\r\nHost: bench\r\nX-Client: {client:010}\r\n{fields}\r\n")
}

const OK: &[u8] = b"HTTP/1.1 200 ";
const FILE: &str = "client.txt";
const CLIENTS: u32 = 1_000_000;
const CONNECTIONS: usize = 50;
const BYTES_MAX: f64 = 64.0;
/// A client's place in a table cannot take less than its time.
const BYTES_MIN: f64 = 8.0;
/// A time long ago.
const AN_AGE: Duration = Duration::from_hours(24 * 365 * 40);
/// A quiet server gives back what growing tables left behind.
const QUIET: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(10);
