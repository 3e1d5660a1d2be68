//! Inherited sockets: which address takes which, what is left over, and what connections inherit.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;
use crate::Acceptor;
use crate::accept::Accepted;
use crate::acquire_with;

fn passed(sockets: Vec<OwnedFd>) -> Inherited {
    Inherited::named(sockets, "web.socket")
}

fn tcp(address: &str) -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind(address).expect("bind");
    let address = listener.local_addr().expect("address");
    (listener.into(), address)
}

fn only_v6(address: &str, only: bool) -> (OwnedFd, SocketAddr) {
    let socket = Socket::new(socket2::Domain::IPV6, Type::STREAM, None).expect("IPv6");
    socket.set_only_v6(only).expect("option");
    let address: SocketAddr = address.parse().expect("address");
    socket.bind(&address.into()).expect("bind");
    socket.listen(8).expect("listen");
    let address = socket.local_addr().expect("address").as_socket().expect("TCP");
    (socket.into(), address)
}

fn take(inherited: &mut Inherited, bind: &Bind, workers: usize) -> Acquired {
    let acquired = acquire_with(bind, &ListenOptions::default(), workers, inherited);
    acquired.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_address_that_is_inherited_is_not_bound_and_is_shared_by_all_workers() {
    let (socket, address) = tcp("127.0.0.1:0");
    let mut inherited = passed(vec![socket]);
    let acquired = take(&mut inherited, &Bind::Address(address), 3);
    assert_eq!((acquired.listening, acquired.inherited), (Listening::Tcp(address), true));
    assert_eq!((acquired.descriptors.len(), inherited.unused().count()), (3, 0));
    TcpStream::connect(address).expect("it listens");
    for socket in &acquired.descriptors {
        let flags = rustix::fs::fcntl_getfl(socket).expect("flags");
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK), "{flags:?}");
    }
}

#[test]
fn any_address_takes_both_families_and_nothing_less() {
    if !has_ipv6() {
        return;
    }
    let (both, address) = only_v6("[::]:0", false);
    let (only, six) = only_v6("[::]:0", true);
    let (four, of_four) = tcp("0.0.0.0:0");
    let inherited = passed(vec![both, only, four]);
    let [both, only, four] = inherited.sockets.as_slice() else { panic!("three") };
    assert!(both.bound.is(&Bind::AnyAddress(address.port())));
    assert!(!both.bound.is(&Bind::Address(address)), "`[::]` alone is IPv6 only");
    assert!(only.bound.is(&Bind::Address(six)));
    assert!(!only.bound.is(&Bind::AnyAddress(six.port())));
    assert!(four.bound.is(&Bind::Address(of_four)));
    assert!(!four.bound.is(&Bind::AnyAddress(of_four.port())));
    let written = [both, only, four].map(|passed| passed.bound.written());
    let expect = [
        format!(":{}", address.port()),
        format!("[::]:{}", six.port()),
        format!("0.0.0.0:{}", of_four.port()),
    ];
    assert_eq!(written, expect.map(Some));
}

#[test]
fn an_inherited_unix_path_is_found_however_it_is_written_and_never_unlinked() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("web.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let mut inherited = passed(vec![listener.into()]);
    std::fs::create_dir(directory.path().join("sub")).expect("a folder");
    let written = directory.path().join("sub/../web.sock");
    let acquired = take(&mut inherited, &Bind::Unix(written), 2);
    UnixStream::connect(&path).expect("it listens");
    acquired.listening.release();
    assert!(path.exists(), "it is not ours");
}

#[test]
fn what_no_server_uses_says_what_to_write() {
    let (socket, address) = tcp("127.0.0.1:0");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let unnamed = UnixListener::bind_addr(&abstract_name()).expect("bind");
    let (stream, _other) = UnixStream::pair().expect("a pair");
    let sockets = vec![socket, udp.into(), unnamed.into(), stream.into()];
    let inherited = Inherited::named(sockets, "web.socket::named");
    let said: Vec<String> = inherited.unused().map(|unused| unused.to_string()).collect();
    let expect = [
        format!(
            "the inherited socket {address} (descriptor 3, web.socket) is used by no server: \
             write `listen = [\"{address}\"]` in one, or take the socket out of what starts Stead"
        ),
        "an inherited descriptor (descriptor 4) is no listening stream socket: write \
         `ListenStream=` and `Accept=no` in its unit"
            .to_owned(),
        "an inherited unix socket (descriptor 5, named) has no path: write \
         `ListenStream=/run/web.sock`"
            .to_owned(),
        "an inherited descriptor (descriptor 6) is no listening stream socket: write \
         `ListenStream=` and `Accept=no` in its unit"
            .to_owned(),
    ];
    assert_eq!(said, expect);
}

fn abstract_name() -> std::os::unix::net::SocketAddr {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("stead-inherit-{}", std::process::id());
    std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name")
}

/// Options are set on the listening socket alone: accepted connections have them by inheritance.
#[test]
fn accepted_connections_inherit_what_the_listener_was_given() {
    use std::time::Duration;
    let options = ListenOptions {
        backlog: 7,
        keepalive: Some(crate::Keepalive {
            idle: Duration::from_secs(61),
            interval: Duration::from_secs(11),
            count: 3,
        }),
        user_timeout: Some(Duration::from_millis(31_500)),
        mode: None,
    };
    let (socket, address) = tcp("127.0.0.1:0");
    let fresh = Bind::Address("127.0.0.1:0".parse().expect("address"));
    for (bind, mut inherited) in
        [(fresh, Inherited::default()), (Bind::Address(address), passed(vec![socket]))]
    {
        let acquired = acquire_with(&bind, &options, 1, &mut inherited).expect("a listener");
        let Listening::Tcp(address) = acquired.listening else { panic!("TCP expected") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let mut client = runtime.expect("a runtime").block_on(async {
            let client = TcpStream::connect(address).expect("connect");
            let listener = acquired.descriptors.into_iter().next().expect("a descriptor");
            let acceptor = Acceptor::new(listener).expect("watched");
            let Ok(Some(Accepted::Connection(accepted, _))) = acceptor.try_accept() else {
                panic!("a connection waits")
            };
            let accepted = Socket::from(accepted);
            assert!(accepted.tcp_nodelay().expect("option"));
            assert!(accepted.keepalive().expect("option"));
            assert_eq!(accepted.tcp_keepalive_time().expect("option").as_secs(), 61);
            assert_eq!(accepted.tcp_keepalive_interval().expect("option").as_secs(), 11);
            assert_eq!(accepted.tcp_keepalive_retries().expect("option"), 3);
            assert_eq!(accepted.tcp_user_timeout().expect("option"), options.user_timeout);
            client
        });
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    }
}

#[test]
fn without_options_nothing_is_asked_of_the_system() {
    let bind = Bind::Address("127.0.0.1:0".parse().expect("address"));
    let acquired = take(&mut Inherited::default(), &bind, 1);
    let listener = acquired.descriptors.into_iter().next().expect("a descriptor");
    let listener = Socket::from(listener);
    assert!(!listener.keepalive().expect("option"));
    assert_eq!(listener.tcp_user_timeout().expect("option"), None);
}
