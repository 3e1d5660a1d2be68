//! Says whether this process is alive, or ready for traffic.
//!
//! # What
//! `health = "live"` answers 200 as long as the process serves at all. `health = "ready"` answers
//! 200 while every listener accepts, and 503 while Stead starts or drains.
//!
//! # Why
//! A balancer or an orchestrator restarts what is not live, and sends no new traffic to what is not
//! ready.
//!
//! # Example
//! ```toml
//! health = "ready"
//! ```
//!
//! # Limits
//! None: the answer is a few bytes and allocates nothing. It is never to be cached.
//!
//! # RFC
//! RFC 9110 §15.6.4 (503), RFC 9111 §5.2.2.5 (`no-store`).

use stead_config::{Config, Diagnostics, Settings, module_docs};
use stead_core::{
    BuildContext, Exchange, Handler, HandlerKind, Phase, Reason, Reply, StatusCode, name,
};

/// The kind `health`.
pub const KIND: HandlerKind = HandlerKind::new("health", build)
    .summary("say whether the process is alive, or ready for traffic")
    .docs(module_docs!("health.rs"))
    .example(r#"health = "ready""#)
    .settings::<HealthConfig>();

/// What is asked.
#[derive(Clone, Copy, Config, PartialEq, Eq)]
enum HealthConfig {
    /// Whether the process serves at all.
    Live,
    /// Whether it takes new traffic.
    Ready,
}

struct Health {
    question: HealthConfig,
}

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Handler>, Diagnostics> {
    Ok(Box::new(Health { question: settings.decode()? }))
}

impl Handler for Health {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let ready = exchange.worker().process.phase() == Phase::Ready;
        let mut response = if ready || self.question == HealthConfig::Live {
            let mut body = exchange.worker().buffer();
            body.extend_from_slice(b"ok\n");
            let mut response = exchange.respond(StatusCode::OK).with_body(body);
            response.fields.set(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
            response
        } else {
            exchange.refuse(Reason::NotReady)
        };
        response.fields.set(name::CACHE_CONTROL, b"no-store");
        Reply::Ready(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bench, refusal};

    fn check(settings: &str, phase: Phase, status: u16, reason: Reason) {
        let bench = bench("/healthz", settings);
        bench.worker.process.enter(phase);
        let answer = bench.call("GET", "/healthz", &[]);
        assert_eq!((answer.status, answer.reason), (status, reason), "{settings} {phase:?}");
        assert_eq!(answer.field("Cache-Control"), "no-store");
    }

    #[test]
    fn live_is_always_200_and_ready_only_while_ready() {
        for phase in [Phase::Starting, Phase::Ready, Phase::Drain] {
            check("health = 'live'", phase, 200, Reason::Ok);
        }
        check("health = 'ready'", Phase::Starting, 503, Reason::NotReady);
        check("health = 'ready'", Phase::Ready, 200, Reason::Ok);
        check("health = 'ready'", Phase::Drain, 503, Reason::NotReady);
        assert_eq!(refusal("/", "health = 'well'").len(), 1);
    }
}
