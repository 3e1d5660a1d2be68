//! Short of descriptors or of memory, with the real limits of a process: SECURITY.md 36, 37.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Authority, Connection, Folder, Stead, binary, until};

const CONFIG: &str = r#"[process]
workers = 2
memory = "MEMORY"
[log]
access = "off"
[server.web]
listen = ["127.0.0.1:0"]
timeouts = { first_byte = "5m", header = "5m", idle = "5m" }
[[server.web.route]]
path = "/"
respond = "ok"
[[server.web.route]]
path = "/files/{*file}"
files = { root = "files", cache = "off" }
[[server.web.route]]
path = "/healthz"
health = "ready"
[tls.main]
certificate = "main.pem"
key = "main.key"
[server.secure]
listen = [{ address = "127.0.0.1:0", tls = ["main"] }]
[[server.secure.route]]
path = "/"
respond = "ok"
"#;

fn start(folder: &Folder, memory: &str, descriptors: u32) -> Stead {
    folder.make("files");
    Authority::new().sign(folder, "main", &["a"]);
    let config = folder.write("stead.toml", CONFIG.replace("MEMORY", memory));
    // `ulimit`, since the limit is one of the process.
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" run -c \"$1\"")]);
    limited.arg(binary::stead()).arg(config);
    binary::clear_environment(&mut limited);
    Stead::start_command(limited, &runtime_in(folder))
}

/// A client as most are: it keeps its connection, and opens another where that was closed.
struct Client {
    port: u16,
    kept: Option<Connection>,
}

impl Client {
    fn new(stead: &Stead) -> Self {
        Self { port: stead.port("web"), kept: None }
    }

    fn ask(&mut self) {
        if let Some(mut kept) = self.kept.take()
            && kept.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
            && let Ok(answer) = kept.try_answer("GET")
        {
            assert_eq!((answer.status, &*answer.text()), (200, "ok"));
            self.kept = Some(kept).filter(|_| !says_close(answer.field("connection")));
            return;
        }
        let mut new = Connection::open(self.port);
        let answer = new.request("GET", "/", &[]);
        assert_eq!((answer.status, &*answer.text()), (200, "ok"));
        self.kept = Some(new).filter(|_| !says_close(answer.field("connection")));
    }
}

fn says_close(connection: Option<&str>) -> bool {
    connection.is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

fn level(stead: &Stead) -> String {
    stead.status()["budgets"]["level"].as_str().unwrap_or_default().to_owned()
}

/// How many connections it holds at most.
fn places(stead: &Stead) -> usize {
    let max = stead.status()["budgets"]["connections"]["max"].as_u64();
    max.and_then(|max| max.try_into().ok()).expect("a number")
}

fn connect(stead: &Stead) -> TcpStream {
    TcpStream::connect(("127.0.0.1", stead.port("web"))).expect("connect")
}

/// Connections whose request has begun and does not end.
fn busy(stead: &Stead, count: usize) -> Vec<TcpStream> {
    let begun = || {
        let mut stream = connect(stead);
        // One that is refused may be closed already.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
        stream
    };
    (0..count).map(|_| begun()).collect()
}

#[test]
fn security_36_a_crowd_without_a_word_makes_room_for_who_comes() {
    let folder = Folder::new();
    let stead = start(&folder, "auto", 128);
    let (told, places) = (stead.running.stderr(), places(&stead));
    assert!(told.contains(&format!("   {places} connections (descriptors)")), "{told}");
    assert!((50..100).contains(&places), "{places}");
    let mut honest = Client::new(&stead);
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(connect(&stead));
        honest.ask();
        Client::new(&stead).ask();
        // Several hundred a second: who has just come is given a moment to say something.
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(stead.outcome("idle_pressure") > 300);
    for reason in ["descriptors_exhausted", "overloaded"] {
        assert_eq!(stead.outcome(reason), 0, "{reason}");
    }
    let scarce = until(SOON, || (level(&stead) == "scarce").then_some(()));
    assert!(scarce.is_some(), "{}", level(&stead));
    let shown = stead.ask(&["status"]).stdout;
    assert!(shown.contains("scarce   ") && shown.contains(&format!(" of {places} ")), "{shown}");
    drop(crowd);
    until(SOON, || (level(&stead) == "calm").then_some(())).expect("calm");
    honest.ask();
    let told = stead.running.stderr();
    assert!(told.contains("scarce: connections at 9"), "{told}");
    assert!(told.contains("calm: connections at "), "{told}");
}

#[test]
fn security_36_where_all_are_busy_first_requests_get_503_and_health_answers() {
    let folder = Folder::new();
    let stead = start(&folder, "auto", 128);
    let places = places(&stead);
    let mut crowd = busy(&stead, (places * 9).div_ceil(10));
    until(SOON, || (level(&stead) == "overloaded").then_some(())).expect("overloaded");
    let answer = stead.fetch("web", "/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(says_close(answer.field("connection")));
    assert_eq!(stead.fetch("web", "/healthz").status, 200);
    assert_eq!(stead.outcome("overloaded"), 1);
    // Over TLS an answer would cost a handshake.
    let mut secure = TcpStream::connect(("127.0.0.1", stead.port("secure"))).expect("connect");
    assert!(matches!(secure.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert_eq!(stead.outcome("overloaded"), 2);
    // Not even a place is left: whoever comes is told so, and the admin socket answers.
    crowd.extend(busy(&stead, places / 10 + 10));
    until(SOON, || (stead.outcome("descriptors_exhausted") > 0).then_some(())).expect("told");
    assert_eq!(stead.status()["budgets"]["connections"]["held"], places);
    // Those who were there are served.
    let mut first = crowd.swap_remove(0);
    first.write_all(b"Host: a\r\nConnection: close\r\n\r\n").expect("write");
    let mut first = Connection::of_tcp(first).expect("a connection");
    let answer = first.answer("GET");
    assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
    drop(crowd);
    until(SOON, || (level(&stead) == "calm").then_some(())).expect("calm");
    assert_eq!(stead.fetch("web", "/").text(), "ok");
}

/// A connection that asked for a file and reads no more than the head of its answer.
fn stalled(stead: &Stead, file: usize) -> (Connection, u16) {
    let mut stream = Connection::open(stead.port("web"));
    stream.send(format!("GET /files/{file} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let status = stream.answer_head().expect("a head").status;
    (stream, status)
}

#[test]
fn security_36_files_of_stalled_answers_never_take_the_last_descriptor() {
    let folder = Folder::new();
    let stead = start(&folder, "auto", 128);
    let files = |of: &str| stead.status()["budgets"]["files"][of].as_u64().expect("a number");
    let max = files("max") as usize;
    assert!((4..30).contains(&max), "{max}");
    let free = places(&stead);
    for n in 0..=2 * max {
        // Far more than the buffers of a connection hold.
        let file = File::create(folder.join(&format!("files/{n}"))).expect("a file");
        file.set_len(1 << 30).expect("a hole");
    }
    // However many read one file, each worker holds it once.
    let same: Vec<_> = (0..max + 5).map(|_| stalled(&stead, 0)).collect();
    assert!(same.iter().all(|(_, status)| *status == 200));
    assert!((1..=2).contains(&files("held")), "{}", files("held"));
    let others: Vec<_> = (1..=2 * max).map(|n| stalled(&stead, n)).collect();
    assert_eq!(files("held") as usize, max);
    // All but four of them have a connection's place.
    assert_eq!(places(&stead), free - (max - 4));
    let refused = others.iter().filter(|(_, status)| *status == 503).count();
    assert!(refused >= max, "{refused}");
    assert_eq!(stead.outcome("overloaded"), refused as u64);
    let answer = stead.fetch("web", &format!("/files/{}", 2 * max));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "10", "--http2-prior-knowledge", "--dump-header", "-"]);
    curl.arg(format!("http://127.0.0.1:{}/files/{}", stead.port("web"), 2 * max));
    let told = String::from_utf8(curl.output().expect("curl").stdout).expect("text");
    assert!(told.starts_with("HTTP/2 503") && told.contains("retry-after: 1"), "{told}");
    assert_eq!(stead.fetch("web", "/").text(), "ok");
    assert_eq!((stead.outcome("descriptors_exhausted"), level(&stead)), (0, "calm".to_owned()));
    // Cut in the middle of their answers, they leave nothing behind.
    drop((same, others));
    until(SOON, || (files("held") == 0).then_some(())).expect("all given back");
    assert_eq!(places(&stead), free);
    assert_eq!(stalled(&stead, 2 * max).1, 200);
}

#[test]
fn security_36_idle_connections_go_where_memory_runs_short() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let folder = Folder::new();
    let stead = start(&folder, "16MiB", 20_000);
    let told = stead.running.stderr();
    assert!(told.contains(" connections (memory)"), "{told}");
    assert_eq!(stead.status()["budgets"]["memory"]["max"], 16 << 20);
    let mut honest = Client::new(&stead);
    let mut crowd = Vec::new();
    // Four fifths of the places, and with what the program itself holds more than nine tenths of
    // the memory.
    crowd.extend((0..places(&stead) * 4 / 5).map(|_| connect(&stead)));
    let closed = until(SOON, || {
        honest.ask();
        (stead.outcome("idle_pressure") > 0).then_some(())
    });
    closed.expect("some are closed");
    let told = stead.running.stderr();
    assert!(told.contains(": memory at "), "{told}");
    drop(crowd);
    until(SOON, || (level(&stead) == "calm").then_some(())).expect("calm");
    honest.ask();
    assert_eq!(stead.outcome("overloaded"), 0);
}

#[test]
fn security_36_status_tells_who_holds_the_most_connections() {
    let folder = Folder::new();
    let stead = start(&folder, "auto", 1024);
    let held = busy(&stead, 12);
    let tells = |text: &str| {
        until(SOON, || (stead.ask(&["status", "--addresses"]).stdout == text).then_some(()))
    };
    tells("12   127.0.0.1   web\n").expect("all are counted");
    drop(held);
    tells("no connections from the network\n").expect("none is left");
}
