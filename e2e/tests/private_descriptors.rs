//! Workers with descriptor tables of their own, on a machine whose limit is small.

use std::process::Command;

use stead_e2e::process::Signal;
use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, binary, until};

const CONFIG: &str = r#"[process]
workers = 8
private_descriptors = true
[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0"]
[[server.web.route]]
path = "/"
respond = "ok"
[[server.web.route]]
path = "/{*file}"
files = { root = "public" }
"#;

/// Descriptors that the process may hold: fewer than the connections of these tests.
const FEW: &str = "256";

fn start(folder: &Folder) -> Stead {
    folder.write("public/small.txt", "small");
    folder.write("public/large.bin", vec![7; 200_000]);
    let config = folder.write("stead.toml", CONFIG);
    // `ulimit`, since the limit is one of the process.
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FEW} && exec \"$0\" run -c \"$1\"")]);
    limited.arg(binary::stead()).arg(config);
    binary::clear_environment(&mut limited);
    Stead::start_command(limited, &runtime_in(folder))
}

#[test]
fn the_limit_counts_for_each_worker_and_everything_works() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    let mut held: Vec<Connection> = (0..320).map(|_| stead.connect("web")).collect();
    for _ in 0..2 {
        for (index, connection) in held.iter_mut().enumerate() {
            let (target, status, length) = match index % 4 {
                0 => ("/", 200, 2),
                1 => ("/small.txt", 200, 5),
                2 => ("/large.bin", 200, 200_000),
                _ => ("/missing", 404, 0),
            };
            let answer = connection.request("GET", target, &[]);
            assert_eq!(answer.status, status, "{target}");
            assert!(answer.body.len() == length || status == 404, "{target}");
        }
    }
    assert_eq!(stead.counter("connections_open"), 320);
    drop(held);
    until(SOON, || (stead.counter("connections_open") == 0).then_some(())).expect("all closed");
    stead.stop();
    assert_eq!(folder.read("access.log").lines().count(), 640);
}

#[test]
fn the_log_is_opened_again_and_no_worker_keeps_the_old_one() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    assert_eq!(stead.fetch("web", "/before").status, 404);
    until(SOON, || folder.read("access.log").contains("before").then_some(())).expect("a record");
    std::fs::rename(folder.join("access.log"), folder.join("old.log")).unwrap();
    assert!(stead.ask(&["log", "reopen"]).stdout.contains("is open again"));
    assert_eq!(stead.fetch("web", "/after").status, 404);
    until(SOON, || folder.read("access.log").contains("after").then_some(())).expect("a record");
    // A copy in a worker's table would keep the old file's blocks on the disk.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", stead.running.pid())).unwrap();
    for task in tasks.flatten() {
        let open = std::fs::read_dir(task.path().join("fd")).unwrap();
        let links = open.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
        assert!(!links.into_iter().any(|link| link.ends_with("old.log")), "{task:?}");
    }
    stead.running.signal(Signal::USR1);
    assert_eq!(stead.fetch("web", "/").status, 200);
    assert_eq!(stead.stop().code, Some(0));
}

#[test]
fn a_stop_refuses_what_is_new_and_finishes_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let folder = Folder::new();
        let mut stead = start(&folder);
        let port = stead.port("web");
        let mut idle: Vec<_> = (0..40).map(|_| stead.connect("web")).collect();
        for connection in &mut idle {
            assert_eq!(connection.request("GET", "/small.txt", &[]).status, 200);
        }
        stead.running.signal(signal);
        assert!(idle.iter_mut().all(Connection::is_ended), "idle connections are closed");
        let outcome = stead.running.wait_at_most(SOON);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(Connection::try_open(port).is_err());
    }
}
