//! Each program started as a user would, and used by a real client.

mod program;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use futures_util::{SinkExt, StreamExt};
use program::{Program, ask};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const FREE: &str = "127.0.0.1:0";

#[test]
fn hello_greets() {
    let program = Program::start(env!("CARGO_BIN_EXE_hello"), &[FREE], 1);
    assert!(ask(program.addresses[0], "/").ends_with("\r\n\r\nHello, World!\n"));
}

#[test]
fn two_routers_are_two_servers() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_two_routers"), &[FREE, FREE], 2);
    let [site, library] = program.addresses[..] else { panic!("two servers") };
    for (address, path, text) in [
        (site, "/heartbeat", "ok\n"),
        (site, "/", "the site\n"),
        (library, "/", "the library\n"),
        (library, "/book", r#"["Emma","Ulysses"]"#),
        (library, "/book/Emma", "Emma"),
    ] {
        assert!(ask(address, path).ends_with(&format!("\r\n\r\n{text}")), "{path}");
    }
    assert!(ask(site, "/book").starts_with("HTTP/1.1 404 "));
    // Each worker writes its own, so in any order.
    let records: Vec<String> = (0..6).map(|_| program.line()).collect();
    let is_it = |record: &&String| {
        record.contains(r#""server":"site""#) && record.contains(r#""path":"/heartbeat""#)
    };
    assert_eq!(records.iter().filter(is_it).count(), 1, "{records:?}");
    program.stop();
}

#[test]
fn echo_sends_back_what_arrives() {
    let program = Program::start(env!("CARGO_BIN_EXE_echo"), &[FREE], 1);
    let mut clients: Vec<TcpStream> = (0..10).map(|_| connect(program.addresses[0])).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        write!(client, "number {number}").expect("sent");
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        client.shutdown(Shutdown::Write).expect("shutdown");
        let mut text = String::new();
        client.read_to_string(&mut text).expect("to the end");
        assert_eq!(text, format!("number {number}"));
    }
    program.stop();
}

#[test]
fn frames_are_answered_and_long_ones_refused() {
    let program = Program::start(env!("CARGO_BIN_EXE_frames"), &[FREE], 1);
    let mut client = connect(program.addresses[0]);
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let pair = [frame(b"hello"), frame(b"")].concat();
    // In pieces: a frame is what its length says, not what one read gives.
    for piece in pair.chunks(3) {
        client.write_all(piece).expect("sent");
    }
    assert_eq!(take(&mut client, 9), frame(b"olleh"));
    assert_eq!(take(&mut client, 4), frame(b""));
    let longest = vec![b'x'; 64 << 10];
    client.write_all(&frame(&longest)).expect("sent");
    assert_eq!(take(&mut client, 4 + longest.len()), frame(&longest));
    client.write_all(&(64_u32 * 1024 + 1).to_be_bytes()).expect("sent");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("the connection ends");
    assert_eq!(rest, frame(b""), "refused before its body came");
}

#[test]
fn events_arrive_as_they_happen() {
    let program = Program::start(env!("CARGO_BIN_EXE_events"), &[FREE], 1);
    let mut client = connect(program.addresses[0]);
    client.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let mut text = String::new();
    while text.matches("event: tick\ndata: ").count() < 3 {
        let mut piece = [0; 1024];
        let count = client.read(&mut piece).expect("an event");
        assert!(count > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert!(text.contains("text/event-stream"), "{text}");
}

#[tokio::test]
async fn what_one_says_in_the_chat_all_hear() {
    let program = Program::start(env!("CARGO_BIN_EXE_chat"), &[FREE], 1);
    let address = program.addresses[0];
    assert!(ask(address, "/").contains("new WebSocket("));
    let url = format!("ws://{address}/chat");
    let (mut one, _) = connect_async(&url).await.expect("a switch");
    let (mut two, _) = connect_async(&url).await.expect("a switch");
    // A first word to oneself: afterwards both have joined.
    two.send(Message::text("here")).await.expect("sent");
    assert_eq!(two.next().await.expect("a message").expect("no error"), Message::text("here"));
    one.send(Message::text("hello, all")).await.expect("sent");
    for socket in [&mut one, &mut two] {
        loop {
            let heard = socket.next().await.expect("a message").expect("no error");
            if heard == Message::text("hello, all") {
                break;
            }
        }
    }
    one.send(Message::text("x".repeat(5_000))).await.expect("sent");
    while let Some(Ok(message)) = one.next().await {
        assert!(!message.is_text(), "too long to be passed on");
    }
    two.send(Message::text("still here")).await.expect("sent");
    let heard = two.next().await.expect("a message").expect("no error");
    assert_eq!(heard, Message::text("still here"));
}

#[test]
fn a_file_and_code_share_a_process() {
    let program = Program::start(env!("CARGO_BIN_EXE_mixed"), &[FREE], 3);
    let [web, status, clock] = program.addresses[..] else { panic!("three servers") };
    let page = ask(web, "/");
    assert!(page.ends_with("from the file\n") && page.to_lowercase().contains("x-request-id"));
    assert!(ask(web, "/api/time").starts_with("HTTP/1.1 200 "));
    assert!(ask(web, "/api/none").starts_with("HTTP/1.1 404 "));
    assert!(ask(status, "/").starts_with("HTTP/1.1 200 "));
    let mut time = String::new();
    connect(clock).read_to_string(&mut time).expect("to the end");
    assert!(time.trim().parse::<u64>().is_ok(), "{time}");
    program.stop();
}

/// `stead` alone is enough for kinds and their derive: this crate does not know `stead_config`.
#[test]
fn own_kinds_have_settings_and_errors_like_any() {
    let program = Program::start(env!("CARGO_BIN_EXE_own_kinds"), &[], 1);
    let refused = ask(program.addresses[0], "/me");
    assert!(
        refused.starts_with("HTTP/1.1 401 ") && refused.contains("\r\nCache-Control: private\r\n")
    );
    let mut client = connect(program.addresses[0]);
    client
        .write_all(b"GET /me HTTP/1.1\r\nHost: a\r\nX-Api-Key: k-2\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("\r\n\r\nhello, bob\n"), "{answer}");
    program.stop();
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/own_kinds.toml");
    let text = r#"[server.web]
listen = ["127.0.0.1:0"]
middleware = [{ api_keys = { callers = {} } }]
[[server.web.route]]
path = "/me"
caller = { greting = "hello, " }
"#;
    std::fs::write(path, text).expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_own_kinds"))
        .arg(path)
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).replace("\\n", "\n");
    assert!(!output.status.success());
    assert!(errors.contains("nobody has a key") && errors.contains("write `greeting`"), "{errors}");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(program::PATIENCE)).expect("a read timeout");
    stream
}

fn take(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes).expect("so many bytes");
    bytes
}
