//! What happens to one server, connection or descriptor leaves the others alone.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, binary, until};

const CONFIG: &str = r#"[process]
workers = 2
[log]
access = "off"
[server.honest]
listen = ["127.0.0.1:0"]
[[server.honest.route]]
path = "/"
respond = "honest"
[[server.honest.route]]
path = "/file/{*file}"
files = { root = "public" }
[server.abused]
listen = ["127.0.0.1:0"]
timeouts = { first_byte = "1s", header = "1s", idle = "1s", body_idle = "1s", write_idle = "1s" }
limits = { connections = 200, header_size = "4KiB", body = "1KiB" }
[[server.abused.route]]
path = "/"
respond = "abused"
[[server.abused.route]]
path = "/file/{*file}"
files = { root = "public" }
"#;

fn start(folder: &Folder) -> Stead {
    folder.write("public/page.txt", "page");
    folder.write("public/large.bin", vec![b'x'; 8 << 20]);
    Stead::start(folder, CONFIG)
}

#[test]
fn abuse_of_one_server_leaves_the_other_without_an_error() {
    let folder = Folder::new();
    let stead = start(&folder);
    let (done, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let slowest = std::thread::scope(|scope| {
        let honest = scope.spawn(|| stay_honest(&stead, &done, &served));
        for seed in 0..3 {
            let (stead, done) = (&stead, &done);
            scope.spawn(move || abuse(stead.port("abused"), seed, done));
        }
        // For some seconds, and as long as a busy machine takes to bring all of it about.
        let began = Instant::now();
        let all = until(PATIENCE, || {
            std::thread::sleep(Duration::from_millis(200));
            let is_long = began.elapsed() >= Duration::from_secs(3);
            let is_enough = is_long && served.load(Ordering::Relaxed) > 100;
            (honest.is_finished() || is_enough && missing(&stead).is_empty()).then_some(())
        });
        done.store(true, Ordering::Relaxed);
        let slowest = honest.join().expect("the honest client saw no error");
        assert!(all.is_some(), "{served:?} answers; not seen: {:?}", missing(&stead));
        slowest
    });
    println!("{} honest answers, the slowest after {slowest:?}", served.into_inner());
    assert_eq!(stead.counter("panics"), 0);
    // What was abused still serves whoever behaves, once the abuse is over.
    let answer = until(SOON, || {
        let mut connection = Connection::try_open(stead.port("abused")).ok()?;
        connection.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        connection.try_answer("GET").ok()
    });
    assert_eq!(answer.expect("an answer").text(), "abused");
}

/// What the abuse must have come to, or it never arrived.
const ABUSES: &[&str] = &[
    "bad_method",
    "length_and_encoding",
    "body_too_large",
    "unsupported_version",
    "bad_path",
    "header_too_large",
    "too_many_headers",
    "first_byte_timeout",
    "header_timeout",
    "too_many_connections",
];

/// How long all of that may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the abuse has not come to yet.
fn missing(stead: &Stead) -> Vec<&'static str> {
    let outcomes = stead.status()["outcomes"].take();
    ABUSES.iter().copied().filter(|reason| outcomes[reason].as_u64() <= Some(0)).collect()
}

/// Kept and fresh connections, one after another; any error fails the test. Says how long the
/// slowest answer took.
fn stay_honest(stead: &Stead, done: &AtomicBool, served: &AtomicU64) -> Duration {
    let mut kept = stead.connect("honest");
    let mut slowest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        assert_eq!(kept.request("GET", "/", &[]).text(), "honest");
        assert_eq!(stead.fetch("honest", "/file/page.txt").text(), "page");
        slowest = slowest.max(began.elapsed());
        served.fetch_add(2, Ordering::Relaxed);
    }
    slowest
}

/// Malformed, huge, slow and unfinished requests, and answers that nobody reads.
fn abuse(port: u16, seed: usize, done: &AtomicBool) {
    let huge = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "z".repeat(100_000));
    let flood = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    let attacks: Vec<&[u8]> = vec![
        b"\x00\x01\x02\x03 nonsense \xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nunfinished",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"GET /file/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /file/large.bin HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo",
        b"",
        huge.as_bytes(),
        many.as_bytes(),
        long.as_bytes(),
        flood.as_bytes(),
    ];
    // Held open and never read, the first round for good: limits and timeouts have to end them.
    let (mut stuck, mut held) = (Vec::new(), Vec::new());
    for (round, attack) in attacks.iter().cycle().skip(seed * 5).enumerate() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        // A server that has answered and closed may not take all of it.
        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
        let _ = stream.write_all(attack);
        match round {
            _ if round < attacks.len() => stuck.push(stream),
            _ if round % 3 == 0 => held.push(stream),
            _ => drop(stream),
        }
        if held.len() > 100 {
            held.drain(..50);
        }
    }
}

#[test]
fn security_37_without_descriptors_it_goes_on_and_recovers() {
    let folder = Folder::new();
    folder.write("stead.toml", CONFIG);
    folder.write("public/page.txt", "page");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -n 96; exec "$1" run -c stead.toml"#, "sh"]);
    shell.arg(binary::stead()).current_dir(folder.path());
    binary::clear_environment(&mut shell);
    let stead = Stead::start_command(shell, &runtime_in(&folder));
    assert_eq!(stead.status()["descriptors_max"], 96);
    let mut early = stead.connect("honest");
    assert_eq!(early.request("GET", "/", &[]).text(), "honest");
    let mut crowd = Vec::new();
    for _ in 0..150 {
        // None of them rests, or the longest at rest would make room for the next.
        let mut stream = TcpStream::connect(("127.0.0.1", stead.port("honest"))).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
        crowd.push(stream);
    }
    // Who was there before is served throughout, also from files and by both workers.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(early.request("GET", "/", &[]).text(), "honest");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(crowd);
    // Once there are descriptors again, everybody is.
    let recovered = until(SOON, || {
        let mut connection = Connection::try_open(stead.port("honest")).ok()?;
        connection.try_send("GET /file/page.txt HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        let answer = connection.try_answer("GET").ok()?;
        (answer.status == 200).then_some(())
    });
    assert!(recovered.is_some(), "{}", stead.running.stderr());
    for _ in 0..20 {
        assert_eq!(stead.fetch("abused", "/").text(), "abused");
    }
    assert!(stead.counter("accepts_without_descriptor") > 0, "it was counted");
    assert!(stead.outcome("descriptors_exhausted") > 0, "some were told");
}

#[test]
fn connections_beyond_the_limit_of_one_server_do_not_touch_the_other() {
    let folder = Folder::new();
    let stead = start(&folder);
    let crowd: Vec<Connection> = (0..260).map(|_| stead.connect("abused")).collect();
    let refused = until(SOON, || {
        let count = stead.outcome("too_many_connections");
        (count >= 60).then_some(count)
    });
    assert!(refused.is_some());
    assert_eq!(stead.fetch("honest", "/").text(), "honest");
    drop(crowd);
    let free = until(SOON, || {
        let status = stead.status();
        (status["servers"][1]["connections"] == 0).then_some(())
    });
    assert!(free.is_some(), "places are given back: {}", stead.status());
    assert_eq!(stead.fetch("abused", "/").text(), "abused");
}

#[test]
fn security_33_a_slow_head_is_408() {
    let folder = Folder::new();
    let stead = start(&folder);
    let mut slow = stead.connect("abused");
    let began = Instant::now();
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let answer = slow.answer("GET");
    assert_eq!(answer.status, 408);
    assert!(answer.closes());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(stead.outcome("header_timeout"), 1);
    // Where nobody asks for the body, its pace does not matter.
    let mut body = stead.connect("abused");
    body.send("POST /file/page.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nslow");
    assert_eq!(body.answer("POST").status, 405);
    assert!(body.is_ended());
}

#[test]
fn security_34_a_silent_connection_is_closed() {
    let folder = Folder::new();
    let stead = start(&folder);
    assert!(stead.connect("abused").is_ended());
    assert_eq!(stead.outcome("first_byte_timeout"), 1);
    let mut idle = stead.connect("abused");
    assert_eq!(idle.request("GET", "/", &[]).status, 200);
    assert!(idle.is_ended());
    assert_eq!(stead.outcome("idle_timeout"), 1);
}
