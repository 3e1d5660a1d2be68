//! Load by wrk, the generator that the limits for keep-alive answers were found with.
//!
//! It reads in its own way, which decides in what pieces a server writes large answers, so figures
//! of two generators do not compare. Answers were compared before the load; wrk itself reports
//! statuses other than 2xx and 3xx and broken connections, and any of them fails the run. Requests
//! that are unanswered when its time is over are not counted: at most one per connection. Over TLS
//! it trusts any certificate and asks for no protocol.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::loader::{Plan, Totals, secure_host};

/// Loads the server for `span`, in whole seconds.
pub fn run(plan: &Plan, span: Duration) -> Result<Totals> {
    let url = match plan.secure {
        None => format!("http://{}{}", plan.address, plan.path),
        Some(_) => format!("https://{}{}", secure_host(plan.address), plan.path),
    };
    load(&url, plan.connections, &[], span)
}

/// The same with these header lines.
pub fn load(url: &str, connections: usize, lines: &[&str], span: Duration) -> Result<Totals> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--timeout", "30s", "--duration", &format!("{}s", span.as_secs().max(1))])
        .args(lines.iter().flat_map(|line| ["--header", line]))
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("run wrk (Debian package wrk)")?;
    ensure!(output.status.success(), "wrk: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("wrk printed: {text}"))
}

/// Reads `  12345 requests in 2.00s, 1.23MB read`, and refuses reports of errors.
fn parse(text: &str) -> Result<Totals> {
    let errors = text.lines().find(|line| {
        let line = line.trim_start();
        line.starts_with("Socket errors") || line.starts_with("Non-2xx")
    });
    ensure!(errors.is_none(), "errors under load");
    let summary = text.lines().find(|line| line.contains(" requests in ")).context("no summary")?;
    let (answers, rest) = summary.trim().split_once(" requests in ").context("no count")?;
    let answers = answers.parse().context("the count")?;
    ensure!(answers > 0, "no answer");
    let elapsed = rest.split(',').next().and_then(duration).context("no duration")?;
    Ok(Totals { answers, elapsed, ..Totals::default() })
}

/// wrk's `850.00ms`, `2.00s` or `1.50m`.
fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let (number, scale) =
        units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_and_errors_are_refused() {
        let good = "Running 2s test\n  12345 requests in 2.10s, 1.23MB read\nRequests/sec: 6";
        let totals = parse(good).unwrap();
        assert_eq!((totals.answers, totals.elapsed), (12_345, Duration::from_millis(2100)));
        assert!(parse(&format!("{good}\n  Socket errors: connect 0, read 3")).is_err());
        assert!(parse(&format!("  Non-2xx or 3xx responses: 7\n{good}")).is_err());
        assert!(parse("  0 requests in 2.00s, 0B read").is_err());
        assert!(parse("unable to connect").is_err());
    }

    #[test]
    fn durations_have_three_units() {
        assert_eq!(duration("850.00ms"), Some(Duration::from_millis(850)));
        assert_eq!(duration("1.50m"), Some(Duration::from_secs(90)));
        assert_eq!(duration("x"), None);
    }
}
