//! Prints a record as a table for the terminal, and writes numbers for people.

use crate::record::{Limit, Record, Series, Spread};
use crate::session::{FOREIGN_PERCENT, FOREIGN_PERCENT_MAX, STEAL_PERCENT, STEAL_PERCENT_MAX};

pub fn print(record: &Record) {
    println!("\n{}   ({})", record.title, record.unit);
    println!(
        "  {:<10} {:>12} {:>25} {:>8} {:>17} {:>12}  runs noisy",
        "server", "median", "min … max", "ratio", "min … max", "requests/s"
    );
    for series in &record.series {
        let spread = series.values();
        let ratio = record.ratio(&series.server);
        println!(
            "  {:<10} {:>12} {:>25} {:>8} {:>17} {:>12}  {}/{}",
            series.server,
            number(spread.median),
            range(&spread),
            ratio.map_or_else(|| "–".into(), |ratio| format!("{:.3}", ratio.median)),
            ratio.map_or_else(String::new, |ratio| format!("{:.3} … {:.3}", ratio.min, ratio.max)),
            throughput(series),
            noisy_runs(series),
            series.runs.len(),
        );
    }
    for promised in record.limits() {
        let measured = record.measured(promised);
        let measured =
            measured.map_or_else(String::new, |it| format!(", {}", amount(&it, promised, record)));
        println!("  {}: {}{measured}", limit(promised, record), record.verdict(promised).word());
    }
}

/// Requests per second, or why they mean nothing.
pub fn throughput(series: &Series) -> String {
    let Some(load) = series.detail("load_core_percent") else { return "–".into() };
    if load.median >= LOAD_CORE_PERCENT_MAX {
        return "(load full)".into();
    }
    series.detail("requests_per_second").map_or_else(|| "–".into(), |rate| number(rate.median))
}

pub fn noisy_runs(series: &Series) -> usize {
    let over =
        |run: &crate::record::Run, name, max| run.details.get(name).is_some_and(|it| *it > max);
    series
        .runs
        .iter()
        .filter(|run| {
            over(run, FOREIGN_PERCENT, FOREIGN_PERCENT_MAX)
                || over(run, STEAL_PERCENT, STEAL_PERCENT_MAX)
        })
        .count()
}

/// A limit of the record in words.
pub fn limit(limit: &Limit, record: &Record) -> String {
    match limit {
        Limit::Nothing => "–".into(),
        Limit::Ratio { peer, at_most } => format!("at most {at_most} × {peer}"),
        Limit::Value { at_most, valid_from: 0.0 } => {
            format!("at most {} {}", number(*at_most), record.unit)
        }
        Limit::Value { at_most, valid_from } => {
            format!("{} to {} {}", number(*valid_from), number(*at_most), record.unit)
        }
    }
}

/// What is held against a limit.
pub fn amount(measured: &Spread, limit: &Limit, record: &Record) -> String {
    match limit {
        Limit::Ratio { peer, .. } => format!("{:.3} × {peer}", measured.median),
        Limit::Value { .. } | Limit::Nothing => {
            format!("{} {}", number(measured.median), record.unit)
        }
    }
}

/// About three digits, thousands set apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".into()
    } else if size >= 1000.0 {
        grouped(value.round() as i64)
    } else if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

pub fn range(spread: &Spread) -> String {
    format!("{} … {}", number(spread.min), number(spread.max))
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// From here on the load generator is the bottleneck and throughput says nothing of the server.
const LOAD_CORE_PERCENT_MAX: f64 = 98.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |value, text: &str| assert_eq!(number(value), text);
        check(0.0, "0");
        check(4.567, "4.57");
        check(45.67, "45.7");
        check(456.7, "457");
        check(1_234_567.8, "1,234,568");
        check(-1000.0, "-1,000");
        check(f64::NAN, "–");
    }
}
