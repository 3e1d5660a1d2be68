//! Raw connections for async functions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};
use std::rc::Rc;
use std::time::Duration;

use stead::{Limits, Server, StartError, Stead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::eventually;

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    // Futures here need not be `Send`.
    let buffer = Rc::new(std::cell::RefCell::new([0; 4096]));
    loop {
        let mut piece = *buffer.borrow();
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            count => stream.write_all(&piece[..count]).await?,
        }
    }
}

#[tokio::test]
async fn one_function_per_connection_counted_and_drained() {
    let limits = Limits { connections: Some(2), ..Limits::default() };
    let server = Server::new("echo").listen("127.0.0.1:0").limits(limits).tcp(echo);
    let running = Stead::new().workers(2).server(server).start().await.expect("it starts");
    let address = running.addresses("echo")[0];
    assert!(running.listening()[0].url.starts_with("tcp://"));
    let talk = |client: &mut Client| {
        client.write_all(b"hello").expect("sent");
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("an echo");
        assert_eq!(&answer, b"hello");
    };
    let (mut one, mut two) =
        (Client::connect(address).expect("one"), Client::connect(address).expect("two"));
    talk(&mut one);
    talk(&mut two);
    let mut three = Client::connect(address).expect("accepted by the kernel");
    assert_eq!(three.read(&mut [0]).unwrap_or(0), 0, "beyond the limit");
    drop(one);
    let admitted = || {
        let mut again = Client::connect(address).expect("connect");
        again.write_all(b"x").is_ok() && again.read(&mut [0]).unwrap_or(0) == 1
    };
    assert!(eventually(admitted), "a connection that ended counts no more");
    let ended = running.shutdown();
    tokio::pin!(ended);
    assert!(tokio::time::timeout(Duration::from_millis(200), ended.as_mut()).await.is_err());
    talk(&mut two);
    two.shutdown(Shutdown::Write).expect("shutdown");
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("it ends with the connection");
}

#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    async fn fail(mut stream: TcpStream) {
        let byte = stream.read_u8().await.expect("a byte");
        assert!(byte == b'x', "on purpose");
        stream.write_all(b"fine").await.expect("written");
    }
    let server = Server::new("fail").listen("127.0.0.1:0").tcp(fail);
    let running = Stead::new().workers(1).server(server).start().await.expect("it starts");
    for (byte, answer) in [(b"y", ""), (b"x", "fine")] {
        let mut client = Client::connect(running.addresses("fail")[0]).expect("connect");
        client.write_all(byte).expect("sent");
        let mut text = String::new();
        client.read_to_string(&mut text).expect("to the end");
        assert_eq!(text, answer);
    }
}

#[tokio::test]
async fn a_unix_socket_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let bound = std::os::unix::net::UnixListener::bind(folder.path().join("bound.sock"));
    let server = Server::new("echo").listen(bound.expect("a socket")).tcp(echo);
    let started = Stead::new().server(server).start().await;
    assert!(matches!(started, Err(StartError::Servers(_))), "a `TcpStream` of a unix socket");
    let server = Server::new("echo").listen("unix:never.sock").tcp(echo);
    let started = Stead::new().server(server).start().await;
    assert!(
        matches!(started, Err(StartError::Servers(errors)) if errors[0].message.contains("unix"))
    );
}
