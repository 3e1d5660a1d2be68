//! Answers each client only so often; more gets 429 or waits.
//!
//! # What
//! Requests of one client beyond `burst` at once, and `rate` over time, are answered 429
//! (`rate_limited`) with `Retry-After`, or made to wait where `delay` says how long. A client is an
//! address (of IPv6, its /64, within which a host chooses freely), or whatever `key` tells apart.
//!
//! # Why
//! One client cannot take what others need, and passwords and forms cannot be tried at full speed.
//!
//! # Example
//! ```toml
//! rate_limit = { rate = "100/s", burst = 50 }
//! ```
//! `rate_limit = "20/m"` lets 20 come at once, and then one every three seconds. One limit for all
//! clients together: `key = "all"`. For each user of an API: `key = { header = "X-Api-Key" }`;
//! requests without the field count by address. SECURITY: a field that nobody checks can be changed
//! with each request, so check it further out.
//!
//! # Placeholders
//! `key` takes those of `headers`: `{client_ip}`, `{host}`, `{path}`, … and the route's captures. A
//! text without any is an error, unless it is `"all"`.
//!
//! # Limits
//! Exact over all workers. Up to `clients` clients are remembered, at less than 64 bytes each, and
//! each only until its allowance is whole again; where there are more, those are forgotten whose
//! allowance is nearest to whole. A request that waits and is given up by its client still counts.
//! What was counted is forgotten at a restart.
//!
//! # RFC
//! RFC 6585 §4 (429), RFC 9110 §10.2.3 (`Retry-After`), draft-ietf-httpapi-ratelimit-headers
//! (`RateLimit`, `RateLimit-Policy`). The algorithm is GCRA, ITU-T I.371 annex A.

use std::fmt::Write as _;
use std::time::Duration;

use stead_config::{Config, Diagnostic, Diagnostics, Frequency, Settings, Spanned, module_docs};
use stead_core::{
    Allowances, BuildContext, Exchange, Fields, Flow, Key, Middleware, MiddlewareKind, Name,
    Reason, Response, Verdict, name,
};

use crate::keys::{KeyConfig, KeyOf};

/// The kind `rate_limit`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("rate_limit", build)
    .summary("answer each client only so often")
    .docs(module_docs!("rate_limit.rs"))
    .example(r#"rate_limit = { rate = "100/s", burst = 50 }"#)
    .settings::<RateLimitConfig>();

/// Settings of `rate_limit`. All apply at start.
#[derive(Config)]
#[config(shorthand = "rate")]
struct RateLimitConfig {
    /// How often in the long run: `"100/s"`, `"20/m"`, `"5/10s"`; at most 1,000,000 in at most a
    /// day.
    rate: Spanned<Frequency>,
    /// Requests at once, 1 to 1,000,000; without it as many as `rate` counts.
    #[config(range = 1..=1_000_000)]
    burst: Option<Spanned<u32>>,
    /// What tells clients apart: a text with placeholders, or `{ header = "…" }`.
    #[config(default = "{client_ip}")]
    key: KeyConfig,
    /// How long a request beyond the rate may wait for its turn instead of being refused.
    #[config(default = "0s", range = "0s"..="1m")]
    delay: Duration,
    /// Clients that are remembered at a time.
    #[config(default = 1_000_000, range = 1..=100_000_000)]
    clients: u32,
    /// Whether every answer says in `RateLimit` what is left; refusals always do.
    #[config(default = false)]
    announce: bool,
}

struct RateLimit {
    allowances: Allowances,
    key: KeyOf,
    delay: Duration,
    announce: bool,
    /// The value of `RateLimit-Policy`.
    policy: String,
}

/// The client of an exchange, for the answer to say what is left.
struct Counted(Key);

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: RateLimitConfig = settings.decode()?;
    let rate = config.rate.value;
    let burst = config.burst.as_ref().map_or(rate.count, |burst| burst.value);
    let allowances = Allowances::new(rate, burst, config.clients).ok_or_else(|| {
        let span = config.burst.as_ref().map_or(config.rate.span, |burst| burst.span);
        Diagnostic::error(span, "at this rate the burst takes longer than 73 years to earn")
            .help("write a smaller `burst` or a higher `rate`")
    })?;
    let key = config.key.compile(context)?;
    let (quota, window) = (allowances.burst(), whole_seconds(allowances.window()));
    Ok(Box::new(RateLimit {
        key,
        delay: config.delay,
        announce: config.announce,
        policy: format!("\"default\";q={quota};w={window}"),
        allowances,
    }))
}

impl RateLimit {
    /// Says what is left: draft-ietf-httpapi-ratelimit-headers §3 and §4.
    fn announce(&self, fields: &mut Fields, key: Key) {
        let standing = self.allowances.standing(key, Allowances::now());
        let (remaining, reset) = (standing.remaining, whole_seconds(standing.whole_in));
        let mut value = String::with_capacity(48);
        let _ = write!(value, "\"default\";r={remaining};t={reset}");
        fields.set(Name::Other(b"RateLimit"), value.as_bytes());
        fields.set(Name::Other(b"RateLimit-Policy"), self.policy.as_bytes());
    }

    fn refuse(&self, exchange: &Exchange, key: Key, again: Duration) -> Response {
        let mut response = exchange.refuse(Reason::RateLimited);
        let seconds = whole_seconds(again).max(1);
        response.fields.set(name::RETRY_AFTER, seconds.to_string().as_bytes());
        self.announce(&mut response.fields, key);
        response
    }
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Middleware for RateLimit {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let key = self.key.key(exchange, self.allowances.key());
        let verdict = self.allowances.take(key, Allowances::now(), self.delay);
        if self.announce && matches!(verdict, Verdict::Conforms(_)) {
            exchange.slots().put(Counted(key));
        }
        match verdict {
            Verdict::Conforms(Duration::ZERO) => Flow::Continue,
            Verdict::Conforms(wait) => Flow::Wait(Box::pin(async move {
                tokio::time::sleep(wait).await;
                Ok(None)
            })),
            Verdict::Refused(again) => Flow::Respond(self.refuse(exchange, key, again)),
        }
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(Counted(key)) = exchange.slots().find()
            && let (key, Some(response)) = (*key, exchange.response_mut())
        {
            self.announce(&mut response.fields, key);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, around, refusal, text};

    fn bench(settings: &str) -> Bench {
        around(&[settings], text("in"))
    }

    fn from(bench: Bench, ip: &str) -> Bench {
        bench.from_peer((ip.parse::<std::net::IpAddr>().unwrap(), 1).into())
    }

    #[test]
    fn what_is_beyond_the_burst_is_refused_and_told_when_to_come_back() {
        let bench = bench("rate_limit = { rate = '1/m', burst = 2 }");
        assert_eq!((bench.page("/").status, bench.page("/").status), (200, 200));
        let answer = bench.page("/");
        assert_eq!((answer.status, answer.reason.code()), (429, "rate_limited"));
        assert_eq!(answer.field("Retry-After"), "60");
        assert_eq!(answer.field("RateLimit-Policy"), "\"default\";q=2;w=120");
        assert_eq!(answer.field("RateLimit"), "\"default\";r=0;t=120");
        assert_eq!(answer.text(), "429 Too Many Requests\n");
        let other = from(bench, "2001:db8::1");
        assert_eq!((other.page("/").status, other.page("/").status), (200, 200));
        let same_network = from(other, "2001:db8::2");
        assert_eq!(same_network.page("/").status, 429);
        assert_eq!(from(same_network, "2001:db8:0:1::2").page("/").status, 200);
    }

    #[test]
    fn answers_say_what_is_left_where_that_is_wanted() {
        let loud = bench("rate_limit = { rate = '3/h', announce = true }");
        assert_eq!(loud.page("/").field("RateLimit"), "\"default\";r=2;t=1200");
        assert_eq!(loud.page("/").field("RateLimit"), "\"default\";r=1;t=2400");
        let quiet = bench("rate_limit = '3/h'");
        assert_eq!(quiet.page("/").field("RateLimit"), "");
        assert_eq!(quiet.waits().0, 0);
    }

    #[test]
    fn a_key_tells_clients_apart() {
        let by_path = bench("rate_limit = { rate = '1/h', key = '{client_ip}{path}' }");
        assert_eq!((by_path.page("/a").status, by_path.page("/b").status), (200, 200));
        assert_eq!(by_path.page("/a").status, 429);
        let by_header = bench("rate_limit = { rate = '1/h', key = { header = 'x-key' } }");
        let call = |value: &str| by_header.call("GET", "/", &[("X-Key", value)]).status;
        assert_eq!([call("a"), call("b"), call("a")], [200, 200, 429]);
        assert_eq!([by_header.page("/").status, by_header.page("/").status], [200, 429]);
        let all = bench("rate_limit = { rate = '1/h', key = 'all' }");
        assert_eq!(all.page("/").status, 200);
        assert_eq!(from(all, "198.51.100.1").page("/").status, 429);
    }

    #[test]
    fn a_delay_makes_requests_wait() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _guard = runtime.enter();
        let bench = bench("rate_limit = { rate = '1/h', burst = 1, delay = '1m' }");
        assert_eq!(bench.page("/").status, 200);
        assert_eq!(bench.page("/").status, 429, "an hour is more than a minute");
    }

    #[test]
    fn wrong_settings_are_told() {
        assert_eq!(refusal("rate_limit = {}").len(), 1);
        assert_eq!(refusal("rate_limit = 100").len(), 1);
        assert_eq!(refusal("rate_limit = { rate = '1/d', burst = 1000000 }").len(), 1);
        assert_eq!(refusal("rate_limit = { rate = '1/s', burst = 0 }").len(), 1);
        assert_eq!(refusal("rate_limit = { rate = '1/s', key = '{nothing}' }").len(), 1);
        assert_eq!(refusal("rate_limit = { rate = '1/s', key = { header = 'a b' } }").len(), 1);
        assert_eq!(refusal("rate_limit = { rate = '1/s', delay = '2m' }").len(), 1);
    }
}
