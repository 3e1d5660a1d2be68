//! `limits.keepalive_requests` and `timeouts.connection_age_max`: how long a connection is kept.

use std::time::{Duration, Instant};

use serde_json::Value;
use stead_e2e::{Folder, Stead};

const CONFIG: &str = r#"[log]
access = { file = "access.log" }
format = "json"
[server.few]
listen = ["127.0.0.1:0"]
limits = { keepalive_requests = 2 }
[[server.few.route]]
path = "/"
respond = "ok"
[server.young]
listen = ["127.0.0.1:0"]
timeouts = { connection_age_max = "1s" }
[[server.young.route]]
path = "/"
respond = "ok"
"#;

#[test]
fn connections_end_by_requests_and_by_age_with_their_reasons() {
    let folder = Folder::new();
    let mut stead = Stead::start(&folder, CONFIG);
    let mut few = stead.connect("few");
    assert_eq!(few.request("GET", "/", &[]).field("connection"), None);
    assert_eq!(few.request("GET", "/", &[]).value("connection"), "close");
    assert!(few.is_ended());

    let (mut busy, mut idle) = (stead.connect("young"), stead.connect("young"));
    assert_eq!(idle.request("GET", "/", &[]).field("connection"), None);
    let began = Instant::now();
    while busy.request("GET", "/", &[]).field("connection").is_none() {
        assert!(began.elapsed() < Duration::from_secs(5), "it is kept for ever");
    }
    assert!(busy.is_ended() && idle.is_ended());

    assert_eq!(stead.outcome("keepalive_requests"), 1);
    assert_eq!(stead.outcome("connection_age"), 2);
    let status = stead.status();
    assert_eq!(status["servers"][0]["limits"]["keepalive_requests"], 2);
    assert_eq!(status["servers"][1]["limits"]["keepalive_requests"], "off");
    assert_eq!(status["servers"][1]["timeouts"]["connection_age_max"], "1s");
    assert_eq!(stead.stop().code, Some(0));
    let log = folder.read("access.log");
    let closes = |server: &str| -> Vec<String> {
        let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = records.filter(|record| record["server"] == server);
        own.filter_map(|record| record["closes"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(closes("few"), ["keepalive_requests"], "{log}");
    assert_eq!(closes("young"), ["connection_age"], "{log}");
}
