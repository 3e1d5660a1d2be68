//! Ending and being asked: signals, `stop`, `status`, and the admin socket.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use stead_e2e::process::{Signal, run};
use stead_e2e::stead::{once, runtime_in};
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, binary, until};

/// Far more than what the sockets' buffers hold.
const LARGE: usize = 64 << 20;

const CONFIG: &str = r#"[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0"]
[[server.web.route]]
path = "/"
respond = "ok"
[[server.web.route]]
path = "/files/{*file}"
files = { root = "public" }
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    let large = folder.write("public/large.bin", "");
    fs::File::options().write(true).open(large).unwrap().set_len(LARGE as u64).unwrap();
    folder
}

/// A download that has begun and is not read on.
fn slow_download(stead: &Stead) -> Connection {
    let mut connection = stead.connect("web");
    connection.send("GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = connection.answer_head().unwrap();
    assert_eq!(head.value("content-length"), LARGE.to_string());
    connection
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let folder = folder();
        let mut stead = Stead::start(&folder, CONFIG);
        let port = stead.port("web");
        let mut idle = stead.connect("web");
        assert_eq!(idle.request("GET", "/", &[]).status, 200);
        let mut fresh = stead.connect("web");
        let mut download = slow_download(&stead);
        stead.running.signal(signal);
        stead.running.wait_for("draining").unwrap();
        assert!(idle.is_ended(), "an idle connection is closed");
        assert!(fresh.is_ended(), "so is one that never sent a byte");
        let refused = until(SOON, || Connection::try_open(port).is_err().then_some(()));
        assert!(refused.is_some(), "new connections are refused");
        assert!(!stead.running.has_ended());
        assert_eq!(download.take(LARGE).unwrap().len(), LARGE, "{signal:?}");
        assert!(download.is_ended(), "closed after its answer");
        let outcome = stead.running.wait();
        assert_eq!((outcome.code, outcome.signal), (Some(0), None), "{outcome:?}");
        assert!(!stead.admin_socket().exists());
        let log = folder.read("access.log");
        assert!(log.contains("large.bin") && log.contains("\"reason\":\"ok\""), "{log}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    let mut download = slow_download(&stead);
    stead.running.signal(Signal::TERM);
    stead.running.wait_for("draining").unwrap();
    let began = Instant::now();
    stead.running.signal(Signal::TERM);
    let outcome = stead.running.wait();
    assert_eq!((outcome.code, outcome.signal), (Some(1), None), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "far before the drain's 25 s");
    assert!(download.take(LARGE).is_err(), "the download was cut");
    assert!(!stead.admin_socket().exists());
    let log = folder.read("access.log");
    let record: Value = serde_json::from_str(log.trim_end()).expect("one record");
    assert_eq!(record["reason"], "drained");
    let body = record["bytes_body"].as_u64().unwrap();
    assert!(body > 0 && body < LARGE as u64, "what had left by then: {record}");
}

#[test]
fn a_drain_has_a_limit() {
    let folder = folder();
    let config = format!("[process]\ndrain = {{ request = \"1s\" }}\n{CONFIG}");
    let mut stead = Stead::start(&folder, &config);
    let mut download = slow_download(&stead);
    stead.running.signal(Signal::TERM);
    let outcome = stead.running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(download.take(LARGE).is_err(), "the download was cut");
    let log = folder.read("access.log");
    assert!(log.contains("large.bin"), "what was cut is recorded too: {log}");
    assert!(log.contains("\"reason\":\"drained\""), "{log}");
}

#[test]
fn a_log_that_is_moved_away_loses_no_record() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut rotated = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut connection = stead.connect("web");
                while !done.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    let target = format!("/?n={number}");
                    assert_eq!(connection.request("GET", &target, &[]).status, 200);
                }
            });
        }
        while rotated < 5 {
            std::thread::sleep(Duration::from_millis(300));
            let (log, moved) = (folder.join("access.log"), format!("access.log.{rotated}"));
            fs::rename(&log, folder.join(&moved)).unwrap();
            stead.running.signal(Signal::USR1);
            until(SOON, || log.exists().then_some(())).expect("a new file");
            rotated += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(stead.stop().code, Some(0));
    let mut numbers = Vec::new();
    for name in (0..rotated).map(|n| format!("access.log.{n}")).chain(["access.log".into()]) {
        let text = folder.read(&name);
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("a whole record");
            numbers.push(record["query"].as_str().unwrap()[2..].parse::<u64>().unwrap());
        }
    }
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..sent.into_inner()).collect();
    assert_eq!(numbers.len(), expected.len());
    assert!(numbers == expected, "every request is recorded once");
}

#[test]
fn a_hang_up_changes_nothing_and_says_so() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    stead.running.signal(Signal::HUP);
    stead.running.wait_for("SIGHUP: there is no reload in this version").unwrap();
    assert_eq!(stead.fetch("web", "/").status, 200);
    assert_eq!(stead.stop().code, Some(0));
}

#[test]
fn standard_error_that_nobody_reads_stops_nothing() {
    // A server whose log was piped into a program that ended once panicked when it drained.
    let folder = folder();
    folder.write("stead.toml", CONFIG.replace("127.0.0.1:0", "unix:web.sock"));
    let mut shell = Command::new("sh");
    let script = r#"trap '' PIPE; ("$1" run -c stead.toml; echo "code $?" >code) 2>&1 | sleep 0.3"#;
    shell.args(["-c", script, "sh"]).arg(binary::stead()).current_dir(folder.path());
    binary::clear_environment(&mut shell);
    shell.env("RUNTIME_DIRECTORY", runtime_in(&folder));
    let mut running = stead_e2e::Running::spawn(&mut shell);
    let socket = folder.join("web.sock");
    let open = until(SOON, || Connection::open_unix(&socket).ok());
    assert_eq!(open.expect("it serves").request("GET", "/", &[]).status, 200);
    std::thread::sleep(Duration::from_millis(600));
    let stopped = once(&folder, &["stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    running.wait();
    assert_eq!(folder.read("code").trim(), "code 0");
}

#[test]
fn stop_drains_and_stop_now_does_not() {
    for (arguments, finishes) in [(&["stop"][..], true), (&["stop", "--now"][..], false)] {
        let folder = folder();
        let mut stead = Stead::start(&folder, CONFIG);
        let mut download = slow_download(&stead);
        let outcome = stead.ask(&[arguments, &["--no-wait"]].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "stopping\n"), "{outcome:?}");
        if finishes {
            stead.running.wait_for("draining").unwrap();
            assert_eq!(download.take(LARGE).unwrap().len(), LARGE);
        }
        let ended = stead.running.wait();
        assert_eq!(ended.signal, None, "{ended:?}");
        assert!(download.take(LARGE).is_err(), "{arguments:?}");
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn stop_waits_until_the_process_has_ended() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    let mut download = slow_download(&stead);
    let mut command = binary::command(["stop", "--socket"]);
    let mut stop = stead_e2e::Running::spawn(command.arg(stead.admin_socket()));
    stop.wait_for("waiting for 1 request, 25 s at most").unwrap();
    assert!(!stop.has_ended(), "a request is in flight");
    assert_eq!(download.take(LARGE).unwrap().len(), LARGE);
    let outcome = stop.wait();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "stopped\n"), "{outcome:?}");
    // The next one finds everything free, and nothing lies about.
    assert!(stead.running.has_ended());
    assert_eq!(fs::read_dir(runtime_in(&folder)).unwrap().count(), 0);
}

#[test]
fn an_upgrade_that_cannot_be_had_stops_nothing() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    stead.running.signal(Signal::USR2);
    stead.running.wait_for("SIGUSR2: this version cannot upgrade").unwrap();
    assert_eq!(stead.fetch("web", "/").status, 200);
    assert_eq!(stead.stop().code, Some(0));
}

#[test]
fn root_finds_what_runs_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can start a process as another user");
        return;
    }
    let folder = folder();
    let config =
        folder.write("stead.toml", CONFIG.replace("access = { file = \"access.log\" }", ""));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let temporary = folder.make("tmp");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(binary::stead()).args(["run", "-c"]).arg(&config);
    binary::clear_environment(&mut command);
    let mut running = stead_e2e::Running::spawn(command.env("TMPDIR", &temporary));
    running.wait_for("ready in ").unwrap();
    let ask = |words: &[&str]| {
        let mut command = binary::command(words);
        run(command.env("TMPDIR", &temporary).arg("-c").arg(&config))
    };
    let status = ask(&["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains(&format!("pid {}", running.pid())), "{status:?}");
    let stopped = ask(&["stop"]);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), "stopped\n"), "{stopped:?}");
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "its directory is removed");
}

#[test]
fn status_tells_everything_as_json() {
    let folder = folder();
    let stead = Stead::start(&folder, CONFIG);
    let mut open = stead.connect("web");
    for _ in 0..3 {
        assert_eq!(open.request("GET", "/", &[]).status, 200);
    }
    assert_eq!(open.request("GET", "/nowhere", &[]).status, 404);
    let status = stead.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], stead.running.pid());
    assert_eq!(status["phase"], "ready");
    assert_eq!(status["configuration"], folder.join("stead.toml").to_str().unwrap());
    for number in ["uptime_s", "workers", "descriptors_max"] {
        assert!(status[number].is_u64(), "{number}: {status}");
    }
    let server = &status["servers"][0];
    assert_eq!((&server["name"], &server["routes"]), (&"web".into(), &2.into()));
    assert_eq!(server["addresses"][0], stead.urls("web")[0]);
    assert_eq!(server["connections"], 1, "{status}");
    assert_eq!(server["limits"]["header_size"], "32KiB");
    assert_eq!(server["limits"]["body"], "off");
    assert_eq!(server["timeouts"]["idle"], "75s");
    assert_eq!(status["servers"].as_array().map(Vec::len), Some(1), "the admin's is not shown");
    for counter in [
        "requests",
        "requests_active",
        "connections_open",
        "connections_parked",
        "connections_accepted",
        "accepts_without_descriptor",
        "access_records_dropped",
        "panics",
        "bytes_in",
        "bytes_out",
    ] {
        assert!(status["counters"][counter].is_u64(), "{counter}: {status}");
    }
    assert!(status["counters"]["requests"].as_u64() >= Some(4), "{status}");
    assert_eq!(status["outcomes"]["no_route"], 1, "{status}");
    assert!(status["outcomes"]["ok"].as_u64() >= Some(3), "{status}");
    assert_eq!(status["outcomes"]["header_timeout"], 0, "every reason is there");
    let text = stead.ask(&["status"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.contains("ready") && text.stdout.contains("no_route 1"), "{text:?}");
}

#[test]
fn where_none_runs_status_and_stop_fail() {
    let folder = folder();
    folder.write("stead.toml", CONFIG);
    for arguments in [&["status"][..], &["status", "--json"], &["stop"], &["stop", "--now"]] {
        let outcome = once(&folder, arguments);
        assert_eq!(outcome.code, Some(1), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn status_fails_while_draining() {
    let folder = folder();
    let mut stead = Stead::start(&folder, CONFIG);
    let mut download = slow_download(&stead);
    stead.running.signal(Signal::TERM);
    stead.running.wait_for("draining").unwrap();
    let outcome = stead.ask(&["status", "--json"]);
    assert_eq!(outcome.code, Some(1), "not ready: {outcome:?}");
    assert_eq!(download.take(LARGE).unwrap().len(), LARGE);
    assert_eq!(stead.running.wait().code, Some(0));
}

#[test]
fn the_admin_socket_is_for_its_own_user() {
    let folder = folder();
    let stead = Stead::start(&folder, CONFIG);
    let socket = stead.admin_socket();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    assert_eq!(fs::metadata(&socket).unwrap().uid(), rustix::process::geteuid().as_raw());
    let mut own = Connection::open_unix(&socket).unwrap();
    assert_eq!(own.request("GET", "/status", &[]).status, 200);
    assert_eq!(own.request("GET", "/elsewhere", &[]).status, 404);
    assert_eq!(own.request("GET", "/stop", &[]).status, 405);
    if rustix::process::geteuid().is_root() {
        // Let in by the file system, another user is still refused by the other end's identity.
        for path in [socket.parent().unwrap().parent().unwrap(), socket.parent().unwrap(), &socket]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--unix-socket"]).arg(&socket).arg("http://a/status");
        let outcome = run(curl.uid(NOBODY).gid(NOBODY));
        assert_ne!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
    }
    assert_eq!(stead.status()["phase"], "ready");
}

const NOBODY: u32 = 65_534;

#[test]
fn what_else_runs_is_named_and_nothing_hangs_behind_it() {
    let folder = folder();
    let config = folder.write("stead.toml", CONFIG);
    let (temporary, site) = (folder.make("tmp"), folder.make("site"));
    let here = |command: &mut Command| {
        binary::clear_environment(command);
        command.env("TMPDIR", &temporary).env("XDG_RUNTIME_DIR", &temporary);
    };
    let mut command = Command::new(binary::stead());
    here(command.args(["files", "--listen", "127.0.0.1:0"]).arg(&site));
    let mut running = stead_e2e::Running::spawn(&mut command);
    running.wait_for("ready in ").unwrap();
    let mut command = Command::new(binary::stead());
    here(command.args(["status", "-c"]).arg(&config));
    let status = run(&mut command);
    assert_eq!(status.code, Some(1), "{status:?}");
    // It once ended with what the system said of the other socket, and a file that is not there.
    let folder = site.canonicalize().unwrap();
    let last = status.stderr.lines().last().unwrap_or_default();
    let is_named = last.contains("runs: --socket ")
        && last.ends_with(&format!("   stead files {}", folder.display()));
    // As root every Stead of the machine is listed; ours is among them.
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || is_named, "{status:?}");
    assert!(!status.stderr.contains("os error"), "{status:?}");
    assert!(status.stderr.starts_with("error: no Stead of this configuration answers on "));
    running.signal(Signal::TERM);
    running.wait();
}
