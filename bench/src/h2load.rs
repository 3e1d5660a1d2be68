//! Load by h2load, nghttp2's generator for HTTP/2.
//!
//! Answers were compared before the load; h2load itself reports statuses other than 2xx, failed
//! streams and broken connections, and any of them fails the run. What was agreed over TLS is read
//! from what it prints and must be the same for every server.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::loader::{Totals, secure_host};

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: SocketAddr,
    pub path: String,
    pub secure: bool,
    pub connections: usize,
    /// Streams at once on each connection.
    pub streams: usize,
}

/// Loads the server for `span`, in whole seconds.
pub fn run(plan: &Plan, span: Duration) -> Result<Totals> {
    let url = if plan.secure {
        format!("https://{}{}", secure_host(plan.address), plan.path)
    } else {
        format!("http://{}{}", plan.address, plan.path)
    };
    let output = Command::new("h2load")
        .args(["--threads", "1", "--clients", &plan.connections.to_string()])
        .args(["--max-concurrent-streams", &plan.streams.to_string()])
        .args(["--duration", &span.as_secs().max(1).to_string()])
        .args(["--groups", "X25519", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384"])
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("run h2load (Debian package nghttp2-client)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "h2load: {text}{}", String::from_utf8_lossy(&output.stderr));
    parse(&text, plan.secure).with_context(|| format!("h2load printed: {text}"))
}

/// Reads h2load's summary and refuses reports of errors.
fn parse(text: &str, secure: bool) -> Result<Totals> {
    let wanted = if secure { AGREED } else { &["Application protocol: h2c"] };
    for line in wanted {
        ensure!(text.lines().any(|it| it.starts_with(line)), "no line `{line}`");
    }
    let requests = text.lines().find(|line| line.starts_with("requests: ")).context("no counts")?;
    let count = |name: &str| -> Option<u64> {
        let (before, _) = requests.split_once(&format!(" {name}"))?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    let answers = count("succeeded").context("no count of answers")?;
    for name in ["failed", "errored", "timeout"] {
        ensure!(count(name) == Some(0), "{requests}");
    }
    let statuses = text.lines().find(|line| line.starts_with("status codes: "));
    let only_2xx = statuses.is_some_and(|line| line.ends_with(" 2xx, 0 3xx, 0 4xx, 0 5xx"));
    ensure!(only_2xx, "other statuses than 2xx: {statuses:?}");
    ensure!(answers > 0, "no answer");
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "));
    let elapsed = finished.and_then(|line| line.split(',').next()).and_then(duration);
    Ok(Totals { answers, elapsed: elapsed.context("no duration")?, ..Totals::default() })
}

/// h2load's `850.00ms`, `2.00s` or `900us`.
fn duration(text: &str) -> Option<Duration> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, scale) =
        units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * scale).ok()
}

/// What every server must agree on; see `channel`.
const AGREED: &[&str] = &[
    "TLS Protocol: TLSv1.3",
    "Cipher: TLS_AES_256_GCM_SHA384",
    "Server Temp Key: X25519",
    "Application protocol: h2",
];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
Application protocol: h2c

finished in 2.00s, 174000.50 req/s, 5.31MB/s
requests: 348001 total, 348801 started, 348001 done, 348001 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 348001 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn the_summary_is_read_and_errors_are_refused() {
        let totals = parse(GOOD, false).unwrap();
        assert_eq!((totals.answers, totals.elapsed), (348_001, Duration::from_secs(2)));
        assert!(parse(GOOD, true).is_err());
        assert!(parse(&GOOD.replace("0 failed", "3 failed"), false).is_err());
        assert!(parse(&GOOD.replace("0 4xx", "9 4xx"), false).is_err());
        assert!(parse(&GOOD.replace("h2c", "http/1.1"), false).is_err());
    }
}
