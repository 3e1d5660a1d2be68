//! Whether limits and timeouts made in code lie in the ranges that a configuration has.
//!
//! Asked when a server is taken apart for its start. A configuration is checked where it is read.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use stead_base::{ByteSize, Limits, Rate, Timeouts, format_duration};

const HEADER_SIZE: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(1 << 20);
const HEADER_COUNT: RangeInclusive<u16> = 1..=1000;
const HTTP2_STREAMS: RangeInclusive<u16> = 1..=1000;
const URI: RangeInclusive<ByteSize> = ByteSize(256)..=ByteSize(64 << 10);
const RATE: RangeInclusive<Rate> = Rate(1)..=Rate(1_000_000_000_000);
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=DAYS_30;
const AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=DAYS_30;
const DAYS_30: Duration = Duration::from_hours(30 * 24);

/// What is out of its range, each with what to write.
pub(crate) fn wrong(limits: &Limits, timeouts: &Timeouts) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    wrong.value("limits.header_size", limits.header_size, &HEADER_SIZE);
    wrong.value("limits.header_count", limits.header_count, &HEADER_COUNT);
    wrong.value("limits.http2_streams", limits.http2_streams, &HTTP2_STREAMS);
    wrong.value("limits.uri", limits.uri, &URI);
    for (name, count) in [
        ("limits.connections", limits.connections),
        ("limits.connections_per_ip", limits.connections_per_ip),
        ("limits.keepalive_requests", limits.keepalive_requests),
    ] {
        if count == Some(0) {
            wrong.0.push(format!("`{name}` is 0: write `None` for no limit"));
        }
    }
    // Of what is written as a text these are the ranges too.
    if let Some(rate) = limits.connection_rate_per_ip
        && rate.to_string().parse() != Ok(rate)
    {
        let name = "limits.connection_rate_per_ip";
        wrong
            .0
            .push(format!("`{name}` is {rate}: write 1/d to 1000000/1ms, or `None` for no limit"));
    }
    for (name, rate) in
        [("timeouts.body_rate", timeouts.body_rate), ("timeouts.write_rate", timeouts.write_rate)]
    {
        if let Some(rate) = rate {
            wrong.value(name, rate, &RATE);
        }
    }
    for (name, wait, range) in [
        ("timeouts.first_byte", timeouts.first_byte, &WAIT),
        ("timeouts.tls_handshake", timeouts.tls_handshake, &WAIT),
        ("timeouts.header", timeouts.header, &WAIT),
        ("timeouts.body_idle", timeouts.body_idle, &WAIT),
        ("timeouts.write_idle", timeouts.write_idle, &WAIT),
        ("timeouts.idle", timeouts.idle, &WAIT),
        ("timeouts.request", timeouts.request, &WAIT),
        ("timeouts.connection_age_max", timeouts.connection_age_max, &AGE),
    ] {
        if let Some(wait) = wait.filter(|wait| !range.contains(wait)) {
            let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
            wrong.0.push(format!(
                "`{name}` is {wait:?}: write {least} to {most}, or `None` for no limit"
            ));
        }
    }
    wrong.0
}

struct Wrong(Vec<String>);

impl Wrong {
    fn value<T: Copy + PartialOrd + Display>(
        &mut self,
        name: &str,
        value: T,
        range: &RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            self.0.push(format!("`{name}` is {value}: write {least} to {most}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_base::Frequency;

    #[test]
    fn the_defaults_and_no_limit_are_right() {
        assert!(wrong(&Limits::default(), &Timeouts::default()).is_empty());
        let limits = Limits { connections: Some(1), body: None, ..Limits::default() };
        let timeouts = Timeouts { idle: None, header: Some(DAYS_30), ..Timeouts::default() };
        assert!(wrong(&limits, &timeouts).is_empty());
    }

    #[test]
    fn what_is_beyond_is_told_with_the_range() {
        let limits = Limits {
            header_size: ByteSize(1 << 32),
            header_count: 0,
            uri: ByteSize(255),
            connections: Some(0),
            connection_rate_per_ip: Some(Frequency { count: 0, per: Duration::from_secs(1) }),
            ..Limits::default()
        };
        let timeouts = Timeouts {
            body_rate: Some(Rate(0)),
            idle: Some(Duration::ZERO),
            request: Some(Duration::MAX),
            ..Timeouts::default()
        };
        let wrong = wrong(&limits, &timeouts);
        assert_eq!(wrong.len(), 8, "{wrong:?}");
        let rate = "`limits.connection_rate_per_ip` is 0/s: write 1/d to 1000000/1ms, or `None` for \
                    no limit";
        assert!(wrong.iter().any(|text| text == rate), "{wrong:?}");
        assert_eq!(wrong[0], "`limits.header_size` is 4GiB: write 1KiB to 1MiB");
        let idle = "`timeouts.idle` is 0ns: write 1ms to 30d, or `None` for no limit";
        assert!(wrong.iter().any(|text| text == idle), "{wrong:?}");
    }

    /// A range here is the one of the configuration.
    #[test]
    fn the_configuration_has_the_same_ranges() {
        let check = |line: &str| {
            let configuration = format!(
                "[server.web]\nlisten = [':1']\n{line}\n[[server.web.route]]\npath = '/'\nrespond = 'x'"
            );
            let files = std::collections::BTreeMap::from([("stead.toml".into(), configuration)]);
            crate::check::check_files("stead.toml".as_ref(), &files, &|_| None).is_ok()
        };
        let text = |wait: Duration| format_duration(wait);
        for (key, range) in [
            ("limits.header_size", [HEADER_SIZE.start(), HEADER_SIZE.end()]),
            ("limits.uri", [URI.start(), URI.end()]),
        ] {
            let [least, most] = range;
            assert!(check(&format!("{key} = '{least}'")) && check(&format!("{key} = '{most}'")));
            assert!(!check(&format!("{key} = '{}'", ByteSize(least.0 - 1))), "{key}");
            assert!(!check(&format!("{key} = '{}'", ByteSize(most.0 + 1))), "{key}");
        }
        for key in ["first_byte", "header", "body_idle", "write_idle", "idle", "request"] {
            let key = format!("timeouts.{key}");
            assert!(check(&format!("{key} = '{}'", text(*WAIT.start()))), "{key}");
            assert!(check(&format!("{key} = '{}'", text(*WAIT.end()))), "{key}");
            let beyond = text(*WAIT.end() + Duration::from_millis(1));
            assert!(!check(&format!("{key} = '{beyond}'")), "{key}");
        }
        let age = "timeouts.connection_age_max";
        assert!(check(&format!("{age} = '1s'")) && !check(&format!("{age} = '999ms'")));
        assert!(check("limits.header_count = 1000") && !check("limits.header_count = 1001"));
        assert!(check("timeouts.body_rate = '1TB/s'") && !check("timeouts.body_rate = '2TB/s'"));
    }
}
