//! Integration tests of the connection: a real fleet on loopback, raw bytes from the client.
//!
//! One behaviour a file. `harness` starts fleets, `client` speaks to them, `handlers` answers, and
//! `witness` watches over the honest.

mod access_log;
mod admission;
mod average_rates;
mod basics;
mod bodies_in;
mod bodies_out;
mod challenges;
mod client;
mod descriptors;
mod drain;
mod exchange;
mod expectations;
mod fairness;
mod files;
mod framing_rules;
mod handlers;
mod harness;
mod head_rules;
mod http2;
mod http2_attacks;
mod http2_basics;
mod http2_rules;
mod keeping;
mod lingering;
mod middleware;
mod overload;
mod panics;
mod park;
mod private_descriptors;
mod proxied;
mod several_workers;
mod silent_peers;
mod sizes;
mod slow_peers;
mod switches;
mod tls;
mod two_servers;
mod witness;
mod worker_restart;
