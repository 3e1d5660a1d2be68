//! The `compress` group: CPU time of the server per request for a page of HTML that it compresses
//! on the fly, beside the peer that is known for the coding.
//!
//! Both sides use the same level. The page is a real one: the first 100,000 bytes of a page of the
//! documentation that comes with the Rust toolchain. What each server sends is counted, because
//! less work that leaves more bytes proves nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::record::{Limit, Run};
use crate::server::{Extra, Running, Scene, Server};
use crate::session::{Row, Session};
use crate::{span, wrk};

#[derive(Args, Clone, Debug)]
pub struct CompressOptions {
    /// Codings to run, separated by commas: gzip, br, zstd [default: all]
    #[arg(long, value_delimiter = ',')]
    codings: Option<Vec<String>>,
    /// Seconds of load in each run [default: 4, quick: 1]
    #[arg(long = "compress-seconds", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
}

/// One row: a coding, and whom Stead is measured beside.
struct Work {
    coding: &'static str,
    title: &'static str,
    peer: Server,
    level: &'static str,
}

const WORKS: &[Work] = &[
    Work {
        coding: "gzip",
        title: "gzip of 100 KB of HTML",
        peer: Server::Nginx,
        level: "5 in both",
    },
    Work {
        coding: "br",
        title: "brotli of 100 KB of HTML",
        peer: Server::Nginx,
        level: "5 in both; nginx with the module of Google as packaged by Debian",
    },
    Work {
        coding: "zstd",
        title: "zstd of 100 KB of HTML",
        peer: Server::Caddy,
        level: "3 here, the only one that Caddy has",
    },
];

pub fn run(session: &Session, options: &CompressOptions) -> Result<()> {
    let wanted = |work: &&Work| {
        let mut codings = options.codings.iter().flatten();
        options.codings.is_none() || codings.any(|coding| coding == work.coding)
    };
    let page = page()?;
    fs::write(session.place.root().join(PAGE), &page).context("write the page")?;
    let seconds = options.seconds.unwrap_or(if session.options.quick { 1 } else { 4 });
    for (order, work) in WORKS.iter().enumerate().filter(|(_, work)| wanted(work)) {
        let row = Row {
            group: "compress",
            name: work.coding,
            order: order as u32,
            title: work.title,
            unit: "µs CPU per request",
            limit: Limit::Ratio { peer: work.peer.name().into(), at_most: 1.0 },
            method: [
                (
                    "load".into(),
                    format!("wrk for {seconds} s after a warm-up, fresh process per run"),
                ),
                ("connections".into(), CONNECTIONS.to_string()),
                ("level".into(), work.level.to_owned()),
            ]
            .into(),
        };
        let servers = session.servers(&[work.peer])?;
        let span = Duration::from_secs(seconds);
        let record =
            session.rounds(&row, &servers, |server| measure(session, server, work, span))?;
        session.finish(&record)?;
    }
    Ok(())
}

fn measure(session: &Session, server: Server, work: &Work, length: Duration) -> Result<Run> {
    let scene = Scene { extra: Extra::Compress, ..Scene::new(&session.place, server, false)? };
    let mut running = Running::start(server, &scene)?;
    let coded = fetch(scene.address, work.coding)?;
    let field = format!("Accept-Encoding: {}", work.coding);
    let url = format!("http://{}/{PAGE}", scene.address);
    let load = |length| wrk::load(&url, CONNECTIONS, &[&field], length);
    load(WARM_UP)?;
    let (run, _) = span::measure(running.pid(), span::SETTLE, || load(length))?;
    running.end();
    Ok(run.with("coded_bytes", coded as f64))
}

/// Bytes of the page's body as the server sends it, which must be in `coding`.
fn fetch(address: SocketAddr, coding: &str) -> Result<usize> {
    let mut socket = TcpStream::connect(address)?;
    write!(
        socket,
        "GET /{PAGE} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: {coding}\r\n\
         Connection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").context("no head")?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let head = String::from_utf8_lossy(head).to_lowercase();
    ensure!(head.starts_with("http/1.1 200 "), "not a 200: {head}");
    ensure!(head.contains(&format!("\r\ncontent-encoding: {coding}")), "not {coding}: {head}");
    if !head.contains("\r\ntransfer-encoding: chunked") {
        return Ok(body.len());
    }
    chunks(body).context("broken chunks")
}

/// Bytes in a chunked body.
fn chunks(mut body: &[u8]) -> Option<usize> {
    let mut total = 0;
    loop {
        let line = memchr::memmem::find(body, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(total);
        }
        total += size;
        body = body.get(line + 2 + size + 2..)?;
    }
}

fn page() -> Result<Vec<u8>> {
    let output =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("run rustc")?;
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let path = root.join("share/doc/rust/html/std/option/enum.Option.html");
    let file =
        File::open(&path).with_context(|| format!("{} (component rust-docs)", path.display()))?;
    let mut page = Vec::new();
    file.take(PAGE_BYTES as u64).read_to_end(&mut page)?;
    ensure!(page.len() == PAGE_BYTES, "{} is too small", path.display());
    Ok(page)
}

const PAGE: &str = "page.html";
const PAGE_BYTES: usize = 100_000;
const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted() {
        assert_eq!(chunks(b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"), Some(15));
        assert_eq!(chunks(b"5\r\nhel"), None);
    }
}
