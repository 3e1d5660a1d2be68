//! What `/status` tells: every counter, server, address and limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_base::{Limits, Reason, Timeouts, format_duration};
use stead_core::{Counter, Counters, Phase, Process, Worker};
use stead_serve::{Messenger, Server, Snapshot};
use stead_tls::Entry;

use crate::acme::Ordered;
use crate::address::Address;
use crate::budgets::Places;
use crate::certificates;

/// Everything that status is made of.
pub(crate) struct Board {
    pub(crate) configuration: PathBuf,
    pub(crate) process: Arc<Process>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// What reaches the workers.
    pub(crate) messenger: Messenger,
    pub(crate) counters: Vec<Arc<Counters>>,
    /// What the writer of the access log counts beside the workers.
    pub(crate) records_lost: Option<Arc<Counter>>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) descriptors_max: u64,
    pub(crate) places: Places,
    /// How long the end may take.
    pub(crate) drain: Duration,
    pub(crate) started: stead_base::Tick,
    pub(crate) certificates: Vec<Arc<Entry>>,
    /// What an authority issues, if one does.
    pub(crate) ordered: Option<Ordered>,
}

impl Board {
    pub(crate) fn to_json(&self, worker: &Worker) -> Value {
        let public = self.snapshot.servers.iter().filter(|server| !server.private);
        let servers: Vec<Value> =
            public.enumerate().map(|(index, server)| self.server(index, server)).collect();
        let certificates = certificates::reports(&self.certificates);
        let issued = self.ordered.as_ref().map_or_else(|| json!([]), Ordered::reports);
        let ending = certificates::ending(&[&certificates, &issued]);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "configuration": self.configuration,
            "phase": phase(self.process.phase()),
            "drain_max_s": self.drain.as_secs(),
            "uptime_s": (worker.now() - self.started).as_secs(),
            "workers": self.counters.len(),
            "descriptors_max": self.descriptors_max,
            "budgets": self.budgets(),
            "servers": servers,
            "counters": self.sums(),
            "outcomes": self.outcomes(),
            "certificates": certificates,
            "issued": issued,
            "certificates_ending": ending,
        })
    }

    fn server(&self, index: usize, server: &Server) -> Value {
        let own: Vec<&Address> =
            self.addresses.iter().filter(|address| address.server == index).collect();
        let addresses: Vec<&str> = own.iter().map(|address| address.url.as_str()).collect();
        let listeners: Vec<Value> = own.into_iter().map(listener).collect();
        // The redirect answers like a route: the start counts it too.
        let redirects = usize::from(server.redirect.is_some());
        let site_routes: usize = server.sites.iter().map(|site| site.routes.len()).sum();
        json!({
            "name": server.name,
            "addresses": addresses,
            "listeners": listeners,
            "routes": server.routes.len() + site_routes + redirects,
            "connections": server.connections.open(),
            "limits": limits(&server.scope.limits),
            "timeouts": timeouts(&server.scope.timeouts),
        })
    }

    fn budgets(&self) -> Value {
        let (process, memory) = (&self.process, self.process.pressure.memory());
        let fill = process.fill();
        let memory = self.places.memory.map(|limit| {
            json!({
                "used": memory.used,
                "max": memory.max,
                "percent": memory.percent(),
                "limited_by": limit.of,
            })
        });
        json!({
            "level": process.level().as_str(),
            "percent": fill.percent,
            "fullest": fill.of.as_str(),
            "connections": {
                "held": process.connections.held(),
                "max": process.connections.limit(),
                "percent": process.connections.percent(),
                "limited_by": self.places.limited_by,
            },
            "files": {
                "held": process.files.held(),
                "max": process.files.limit(),
                "percent": process.files.percent(),
            },
            "memory": or_off(memory),
        })
    }

    fn sums(&self) -> Value {
        let mut sums = Map::new();
        for counters in &self.counters {
            for (name, _, value) in counters.each() {
                let sum = sums.get(name).and_then(Value::as_u64).unwrap_or(0);
                sums.insert(name.to_owned(), json!(sum + value));
            }
        }
        let lost = self.records_lost.as_ref().map_or(0, |lost| lost.value());
        if let Some(dropped) = sums.get_mut(RECORDS_DROPPED) {
            *dropped = json!(dropped.as_u64().unwrap_or(0) + lost);
        }
        Value::Object(sums)
    }

    fn outcomes(&self) -> Value {
        let count = |index: usize| -> u64 {
            let of_worker = |counters: &Arc<Counters>| counters.outcomes[index].value();
            self.counters.iter().map(of_worker).sum()
        };
        let all = Reason::ALL.iter().enumerate();
        Value::Object(all.map(|(i, reason)| (reason.code().to_owned(), json!(count(i)))).collect())
    }
}

const RECORDS_DROPPED: &str = "access_records_dropped";

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Drain => "drain",
    }
}

fn listener(address: &Address) -> Value {
    let options = &address.options;
    let keepalive = options.keepalive.map(|probes| {
        json!({
            "idle": format_duration(probes.idle),
            "interval": format_duration(probes.interval),
            "count": probes.count,
        })
    });
    json!({
        "address": address.url,
        "inherited": address.inherited,
        "proxy_protocol": address.proxy_protocol,
        "backlog": options.backlog,
        "tcp_keepalive": or_off(keepalive),
        "user_timeout": or_off(options.user_timeout.map(format_duration)),
        "mode": options.mode.map(|mode| format!("{mode:04o}")),
    })
}

pub(crate) fn limits(limits: &Limits) -> Value {
    json!({
        "connections": or_off(limits.connections),
        "connections_per_ip": or_off(limits.connections_per_ip),
        "connection_rate_per_ip": or_off(limits.connection_rate_per_ip.map(|rate| rate.to_string())),
        "header_size": limits.header_size.to_string(),
        "header_count": limits.header_count,
        "uri": limits.uri.to_string(),
        "body": or_off(limits.body.map(|size| size.to_string())),
        "keepalive_requests": or_off(limits.keepalive_requests),
        "http2_streams": limits.http2_streams,
    })
}

pub(crate) fn timeouts(timeouts: &Timeouts) -> Value {
    let time = |limit: Option<Duration>| or_off(limit.map(format_duration));
    json!({
        "first_byte": time(timeouts.first_byte),
        "tls_handshake": time(timeouts.tls_handshake),
        "header": time(timeouts.header),
        "body_idle": time(timeouts.body_idle),
        "body_rate": or_off(timeouts.body_rate.map(|rate| rate.to_string())),
        "write_idle": time(timeouts.write_idle),
        "write_rate": or_off(timeouts.write_rate.map(|rate| rate.to_string())),
        "idle": time(timeouts.idle),
        "request": time(timeouts.request),
        "connection_age_max": time(timeouts.connection_age_max),
    })
}

fn or_off<T: Into<Value>>(limit: Option<T>) -> Value {
    limit.map_or_else(|| json!("off"), Into::into)
}
