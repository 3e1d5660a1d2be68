//! The access log: what a line says, that nobody can forge one, and that no worker waits for it.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use serde_json::Value;
use stead_base::ByteSize;
use stead_core::{Error, Exchange, Name};
use stead_serve::access_log::{
    AccessLog, Destination, Escape, Format, LineTemplate, Piece, Redaction, Sampling, Shape,
    Value as LogValue,
};
use tempfile::TempDir;

use crate::handlers::{Count, Fixed, Make, Play, Step, sleep, text, wait};
use crate::harness::{Harness, Kitchen, Recipe, eventually};

/// A logged server and where its log is.
struct Logged {
    harness: Option<Harness>,
    log: Arc<AccessLog>,
    folder: TempDir,
}

impl Logged {
    fn new(shape: impl Into<Shape>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::at(shape, &folder.path().join("access.log"), folder)
    }

    fn at(shape: impl Into<Shape>, path: &Path, folder: TempDir) -> Self {
        let destination = Destination::File(path.to_owned());
        let log = Arc::new(AccessLog::open(destination, shape).expect("the log opens"));
        let named = Make(|exchange: &mut Exchange| {
            let id = exchange.fields().get(Name::Other(b"x-id")).unwrap_or(b"made").to_vec();
            exchange.set_request_id(String::from_utf8(id).expect("ASCII").into());
            let mut answer = text(exchange, b"named");
            answer.fields.set(Name::Other(b"x-kind"), b"a \"kind\"");
            answer
        });
        let slow = wait(|exchange: &mut Exchange| {
            Box::pin(async {
                sleep(60).await;
                Ok(text(exchange, b"slow"))
            })
        });
        let fails = wait(|_| Box::pin(async { Err(Error::internal("as asked")) }));
        let hangs = wait(|exchange: &mut Exchange| {
            Box::pin(async {
                sleep(600_000).await;
                Ok(text(exchange, b"never"))
            })
        });
        let torn = vec![Step::Bytes(vec![b'x'; 1000]), Step::Yield, Step::Fail];
        let recipe = Recipe::default()
            .logged()
            .limits(|limits| limits.body = Some(ByteSize(1000)))
            .timeouts(|timeouts| timeouts.header = Some(Duration::from_millis(300)))
            .route("/hangs", hangs)
            .route("/named", named)
            .route("/slow", slow)
            .route("/torn", Play(torn.clone(), None))
            .route("/torn/known", Play(torn, Some(2000)))
            .route("/", Fixed("hello"))
            .route("/count", Count)
            .route("/users/{id}", Fixed("one"))
            .route("/fails", fails);
        let silent = Recipe::default().route("/", Fixed("unheard"));
        let kitchen = Kitchen { log: Some(Arc::clone(&log)), ..Kitchen::default() };
        Self { harness: Some(kitchen.start(vec![recipe, silent])), log, folder }
    }

    fn harness(&self) -> &Harness {
        self.harness.as_ref().expect("still running")
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    /// Ends the fleet and the log; gives the lines.
    fn lines(mut self) -> Vec<String> {
        self.harness.take().expect("still running").drain(Duration::from_secs(5));
        let path = self.path();
        drop(self.log);
        read(&path).lines().map(str::to_owned).collect()
    }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).and_then(|mut file| file.read_to_string(&mut text)).expect("the log");
    text
}

const REQUEST: &str = "GET /users/%7e7?q=\"a\\b\"&c=%0A HTTP/1.1\r\nHost: a.example:80\r\n\
    Referer: https://b.example/?\"x\"\r\nUser-Agent: agent/1 (\"x\"; \\y\\)\tz\r\n\r\n";

#[test]
fn a_json_line_has_every_field_in_order() {
    let logged = Logged::new(Format::Json);
    let mut client = logged.harness().connect();
    client.send(REQUEST);
    client.answer();
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    client.send("x".repeat(100));
    client.answer();
    let lines = logged.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let first: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let keys: Vec<_> = first.as_object().expect("an object").keys().map(String::as_str).collect();
    let fields = "time server site route client method host path query protocol status reason \
        bytes_in bytes_out bytes_body duration_ms referer user_agent";
    assert_eq!(keys, fields.split_whitespace().collect::<Vec<_>>());
    let time = first["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    for (key, expect) in [
        ("server", "server0"),
        ("site", ""),
        ("route", "/users/{id}"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "a.example:80"),
        ("path", "/users/~7"),
        ("query", "q=\"a\\b\"&c=%0A"),
        ("protocol", "HTTP/1.1"),
        ("reason", "ok"),
        ("referer", "https://b.example/?\"x\""),
        ("user_agent", "agent/1 (\"x\"; \\y\\)\tz"),
    ] {
        assert_eq!(first[key], expect, "{key}");
    }
    assert_eq!((&first["status"], &first["bytes_body"]), (&Value::from(200), &Value::from(3)));
    assert_eq!(first["bytes_in"], REQUEST.len());
    let (out, took) = (first["bytes_out"].as_u64(), first["duration_ms"].as_f64());
    assert!(out.is_some_and(|out| (90..200).contains(&out)), "{out:?}");
    assert!(took.is_some_and(|took| (0.0..5_000.0).contains(&took)), "{took:?}");
    let second: Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!((&second["method"], &second["query"]), (&Value::from("POST"), &Value::from("")));
    assert!(second["bytes_in"].as_u64().is_some_and(|bytes| bytes > 150));
}

/// Digits as 9, letters as a and A: what a date or a number looks like.
fn shape(text: &str) -> String {
    let shape = |c: char| match c {
        '0'..='9' => '9',
        'a'..='z' => 'a',
        'A'..='Z' => 'A',
        other => other,
    };
    text.chars().map(shape).collect()
}

/// The one line that `REQUEST` makes in a format.
fn line_in(format: Format) -> String {
    let logged = Logged::new(format);
    let mut client = logged.harness().connect();
    client.send(REQUEST);
    client.answer();
    let mut lines = logged.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

#[test]
fn common_and_combined_are_those_of_other_servers() {
    let request = r#""GET /users/~7?q=\x22a\x5Cb\x22&c=%0A HTTP/1.1" 200 3"#;
    let more = r#" "https://b.example/?\x22x\x22" "agent/1 (\x22x\x22; \x5Cy\x5C)\x09z""#;
    for (format, expect) in
        [(Format::Common, request.to_owned()), (Format::Combined, request.to_owned() + more)]
    {
        let line = line_in(format);
        let (head, rest) = line.split_once("] ").expect("a date");
        let (client, date) = head.split_once('[').expect("a date");
        assert_eq!((client, rest), ("127.0.0.1 - - ", expect.as_str()));
        assert_eq!(shape(date), "99/Aaa/9999:99:99:99 +9999");
    }
}

#[test]
fn text_is_for_people() {
    let line = line_in(Format::Text);
    let (time, rest) = line.split_once(' ').expect("a time");
    assert_eq!(shape(time), "9999-99-99A99:99:99.999A");
    let (told, took) = rest.rsplit_once(' ').expect("a duration");
    assert_eq!(told, r#"server0 127.0.0.1 GET /users/~7?q="a\x5Cb"&c=%0A 200 ok 3B"#);
    assert!(shape(took).trim_start_matches('9').starts_with(".999aa"), "{took}");
}

#[test]
fn errors_are_recorded_with_their_reason_and_silent_servers_not() {
    let logged = Logged::new(Format::Json);
    let harness = logged.harness();
    let mut client = harness.connect();
    assert_eq!(client.get("/fails").status, 500);
    assert_eq!(client.get("/nothing").status, 404);
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    assert_eq!(crate::client::Client::connect(harness.addresses[1]).get("/").status, 200);
    drop(client);
    let lines = logged.lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| format!("{} {} {}", line["status"], line["reason"], line["route"]))
        .collect();
    let expect =
        [r#"500 "handler_error" "/fails""#, r#"404 "no_route" """#, r#"400 "bad_header_name" """#];
    assert_eq!(told, expect);
}

/// Also an exchange that got no answer leaves its line, with no status.
#[test]
fn what_ends_early_is_recorded_with_its_reason() {
    let mut logged = Logged::new(Format::Json);
    let mut gone = logged.harness().connect();
    gone.send("GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n");
    let active = |logged: &Logged| logged.harness().count(|counters| &counters.requests_active);
    assert!(eventually(|| active(&logged) == 1));
    gone.reset();
    assert!(eventually(|| active(&logged) == 0));
    let mut cut = logged.harness().connect();
    cut.send("GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(eventually(|| active(&logged) == 1));
    logged.harness.take().expect("still running").drain(Duration::from_millis(100));
    let path = logged.path();
    drop(logged.log);
    let told: Vec<_> = read(&path)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| format!("{} {} {}", line["status"], line["reason"], line["route"]))
        .collect();
    assert_eq!(told, [r#"0 "client_closed" "/hangs""#, r#"0 "drained" "/hangs""#]);
}

/// Once the record of a cut answer said that nothing of its body was sent.
#[test]
fn a_cut_answer_tells_how_much_of_its_body_left() {
    let logged = Logged::new(Format::Json);
    for path in ["/torn", "/torn/known"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        logged.harness().talk(&request);
    }
    for line in logged.lines() {
        let record: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["reason"], "handler_error");
        assert_eq!(record["bytes_body"], 1000, "{line}");
    }
}

/// Once such a record had no path, and told the microseconds that the refusal took.
#[test]
fn what_is_refused_early_tells_what_was_asked_and_how_long_it_took() {
    let logged = Logged::new(Format::Json);
    logged.harness().talk("POST /%63ount HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    logged.harness().talk("GET /slow HTTP/1.1\r\nHost:");
    let lines = logged.lines();
    let record = |index: usize| serde_json::from_str::<Value>(&lines[index]).expect("JSON");
    let (large, slow) = (record(0), record(1));
    assert_eq!((&large["status"], &large["path"]), (&Value::from(413), &Value::from("/count")));
    assert_eq!(large["host"], "a");
    assert_eq!((&slow["status"], &slow["reason"]), (&Value::from(408), &"header_timeout".into()));
    assert!(slow["duration_ms"].as_f64() >= Some(200.0), "{slow}");
}

/// Once records that a full disk refused were lost without being counted.
#[test]
fn what_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut logged = Logged::at(Format::Json, Path::new("/dev/full"), folder);
    let lost = Arc::clone(logged.log.lost());
    let mut client = logged.harness().connect();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "hello");
    }
    logged.harness.take().expect("still running").drain(Duration::from_secs(5));
    drop(logged);
    assert_eq!(lost.value(), 50);
}

const FORGEABLE: &str = "{method}|{uri}|\"{header_user_agent}\" \"{header_referer}\" {status}";

/// A template as the configuration has it, its placeholders known.
fn template(text: &str, escape: Escape) -> Format {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a closing brace");
        pieces.push(Piece::Literal(before.to_owned()));
        pieces.push(Piece::Value(LogValue::named(name).expect("a known name")));
        rest = after;
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Literal(String::new()));
    Format::Template(Arc::new(LineTemplate::new(pieces, escape)))
}

#[test]
fn a_template_shows_what_it_names() {
    let names: Vec<&str> = LogValue::NAMES.iter().map(|(name, _)| *name).collect();
    let all = names.iter().map(|name| format!("{name}={{{name}}}")).collect::<Vec<_>>().join(" ");
    let fields = "\"{header_user_agent}\" \"{response_header_x_kind}\" {header_x_none}";
    let logged = Logged::new(template(&format!("{all} {fields}"), Escape::Text));
    let mut client = logged.harness().connect();
    client.send(
        "GET /%6eamed?a=%20\"b HTTP/1.1\r\nHost: a.example:80\r\nX-Id: 7 8\r\nUser-Agent: x \"y\r\n\r\n",
    );
    client.answer();
    let line = logged.lines().remove(0);
    let line = line.replace(" +0000", "+0000");
    let (values, fields) = line.split_at(line.find(" \"").expect("the fields"));
    assert_eq!(fields, r#" "x \x22y" "a \x22kind\x22" -"#);
    let told: Vec<(&str, &str)> =
        values.split(' ').map(|pair| pair.split_once('=').expect("a pair")).collect();
    assert_eq!(told.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    let told = |name: &str| told.iter().find(|(known, _)| *known == name).expect("known").1;
    for (name, expect) in [
        ("server", "server0"),
        ("site", "-"),
        ("route", "/named"),
        ("client_ip", "127.0.0.1"),
        ("scheme", "http"),
        ("method", "GET"),
        ("host", "a.example"),
        ("path", "/named"),
        ("query", r"a=%20\x22b"),
        ("uri", r"/named?a=%20\x22b"),
        ("version", "HTTP/1.1"),
        ("status", "200"),
        ("reason", "ok"),
        ("closes", "-"),
        ("bytes_body", "5"),
        ("request_id", r"7\x208"),
        ("one_in", "1"),
    ] {
        assert_eq!(told(name), expect, "{name}");
    }
    assert_eq!(shape(told("time")), "9999-99-99A99:99:99.999A");
    assert!(told("unix_ms").parse::<u64>().is_ok_and(|ms| ms > 1_700_000_000_000), "{line}");
}

#[test]
fn records_hold_the_name_of_a_request_that_has_one() {
    for (format, with, without) in
        [(Format::Json, ",\"request_id\":\"7\"}", "\"}"), (Format::Text, "ms request_id:7", "ms")]
    {
        let logged = Logged::new(format);
        let mut client = logged.harness().connect();
        client.send("GET /named HTTP/1.1\r\nHost: a\r\nX-Id: 7\r\n\r\n");
        client.answer();
        client.get("/");
        let lines = logged.lines();
        assert!(lines[0].ends_with(with), "{}", lines[0]);
        assert!(lines[1].ends_with(without) && !lines[1].contains("request_id"), "{}", lines[1]);
    }
}

#[test]
fn of_many_records_some_are_written_and_say_how_many_they_stand_for() {
    let sampling = Sampling {
        one_in: 10,
        classes: [false, false, false, true, true],
        cut: true,
        slow: Some(Duration::from_millis(50)),
    };
    let logged = Logged::new(Shape { sampling: Some(sampling), ..Format::Json.into() });
    let mut client = logged.harness().connect();
    for _ in 0..1000 {
        client.get("/");
    }
    for id in 0..100 {
        // Twice the same name is twice the same decision.
        for _ in 0..2 {
            client.send(format!("GET /named HTTP/1.1\r\nHost: a\r\nX-Id: {id}\r\n\r\n"));
            client.answer();
        }
    }
    for path in ["/slow", "/nothing", "/fails"] {
        client.get(path);
    }
    logged.harness().talk("GET /torn HTTP/1.1\r\nHost: a\r\n\r\n");
    let records: Vec<Value> =
        logged.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of =
        |path: &str| records.iter().filter(|record| record["path"] == path).collect::<Vec<_>>();
    assert!((50..200).contains(&of("/").len()), "{} of 1000", of("/").len());
    assert!(of("/").iter().all(|record| record["one_in"] == 10));
    let named: Vec<&Value> = of("/named").iter().map(|record| &record["request_id"]).collect();
    assert!((2..60).contains(&named.len()), "{} of 200", named.len());
    assert!(named.chunks(2).all(|pair| pair[0] == pair[1]), "{named:?}");
    for path in ["/slow", "/nothing", "/fails", "/torn"] {
        assert!(
            matches!(of(path)[..], [record] if record["one_in"] == 1),
            "{path}: {:?}",
            of(path)
        );
    }
}

/// In no format, wherever it stands and however its key is spelled.
#[test]
fn what_is_redacted_is_never_written() {
    let all = "{path} {query} {uri} {header_cookie} {header_referer} {header_x_url} {response_header_x_kind}";
    let formats = [
        Format::Json,
        Format::Text,
        Format::Common,
        Format::Combined,
        template(all, Escape::Text),
        template(all, Escape::Json),
    ];
    for format in formats {
        let redaction = Redaction::new(["access_token", "sig"], ["cookie", "X-Kind"]);
        let logged = Logged::new(Shape { redaction, ..format.clone().into() });
        let mut client = logged.harness().connect();
        for key in ["access_token", "ACCESS-token", "%61ccess%5ftoken", "sig", "%73ig[]", "+sig"] {
            client.send(format!(
                "GET /named;sig=QZ?a=1&{key}=QZ&b={key}=&c HTTP/1.1\r\nHost: a\r\nCookie: QZ\r\n\
                 Referer: https://a/?{key}=QZ#{key}=QZ\r\nX-Url: /x?{key}=QZ\r\n\r\n"
            ));
            client.answer();
        }
        for line in logged.lines() {
            assert!(!line.contains("QZ"), "{format:?}: {line}");
            assert!(line.contains("***"), "{format:?}: {line}");
            assert!(line.contains("&c"), "what follows stays: {format:?}: {line}");
        }
    }
}

/// Whatever a client sends, it gets one line for a request, and no control character into it.
#[test]
fn no_line_can_be_forged() {
    let bad = [
        "GET /%0d%0aforged HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\nforged HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\rforged\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[2J\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \u{9b}2J\u{202e}\u{2028}\u{61c}\u{85}\"}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nReferer: \" 200 1\\\" \r\n\r\n",
        "GET /\"%20200%201%22 HTTP/1.1\r\nHost: a\r\n\r\n",
        "FORGED\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\"\\\r\n\r\n",
    ];
    for format in [
        Format::Json,
        Format::Text,
        Format::Common,
        Format::Combined,
        template(FORGEABLE, Escape::Text),
        template(FORGEABLE, Escape::Json),
    ] {
        let logged = Logged::new(format.clone());
        for request in bad {
            let mut client = logged.harness().connect();
            client.send(request);
            client.answer();
        }
        let lines = logged.lines();
        assert_eq!(lines.len(), bad.len(), "{lines:#?}");
        for line in &lines {
            let is_clean = |c: char| !c.is_control() && !"\u{202e}\u{2028}\u{61c}".contains(c);
            assert!(line.chars().all(is_clean), "{format:?}: {}", line.escape_debug());
            assert!(!line.starts_with("forged"), "{line}");
            if format == Format::Json {
                serde_json::from_str::<Value>(line).expect("JSON");
            } else if format == Format::Combined {
                assert_eq!(line.matches('"').count(), 6, "{line}");
            } else if format == template(FORGEABLE, Escape::Text) {
                assert_eq!(
                    (line.matches('"').count(), line.matches('|').count()),
                    (4, 2),
                    "{line}"
                );
                assert_eq!(line.split(' ').next_back().map(str::len), Some(3), "{line}");
            } else if format == template(FORGEABLE, Escape::Json) {
                let open = line.replace("\\\\", "").replace("\\\"", "");
                assert_eq!(open.matches('"').count(), 4, "{line}");
            }
        }
    }
}

#[test]
fn a_log_that_was_moved_away_is_opened_again() {
    let logged = Logged::new(Format::Text);
    let (path, moved) = (logged.path(), logged.folder.path().join("access.log.1"));
    let mut client = logged.harness().connect();
    client.get("/users/first");
    // A worker sends its lines on once a second.
    assert!(eventually(|| read(&path).contains("/users/first")));
    fs::rename(&path, &moved).expect("rename");
    logged.log.reopen();
    assert!(eventually(|| path.exists()));
    client.get("/users/second");
    let first = read(&moved);
    let lines = logged.lines();
    assert!(first.contains("/users/first") && !first.contains("/users/second"));
    assert!(lines.len() == 1 && lines[0].contains("/users/second"), "{lines:#?}");
}

/// A writer that is stuck costs lines, which are counted, and no worker's time.
#[test]
fn a_stuck_writer_stops_no_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
    let reader: OwnedFd =
        open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("its reading end");
    let mut logged = Logged::at(Format::Json, &path, folder);
    let mut client = logged.harness().connect();
    let agent = "x".repeat(16 << 10);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
    let dropped = |harness: &Harness| harness.count(|counters| &counters.access_records_dropped);
    let mut requests = 0_u64;
    while dropped(logged.harness()) == 0 {
        assert!(requests < 2_000, "nothing was dropped");
        client.send(&request);
        assert_eq!(client.answer().text(), "hello");
        requests += 1;
    }
    // What was not dropped comes once somebody reads.
    let counting = std::thread::spawn(move || {
        rustix::fs::fcntl_setfl(&reader, OFlags::empty()).expect("blocking from now on");
        let mut text = Vec::new();
        File::from(reader).read_to_end(&mut text).expect("to the end");
        text.split_inclusive(|byte| *byte == b'\n').count() as u64
    });
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "hello");
        requests += 1;
    }
    let harness = logged.harness.take().expect("still running");
    let counters = harness.shared_counters();
    drop(client);
    harness.drain(Duration::from_secs(5));
    drop(logged);
    let written = counting.join().expect("the reader");
    let dropped = counters[0].access_records_dropped.value();
    assert_eq!(written + dropped, requests, "{dropped} dropped");
    assert!(dropped < requests / 2, "{dropped} of {requests} dropped");
}
