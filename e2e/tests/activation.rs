//! Socket activation: listening sockets that somebody else made are used, and none is left over.

use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use stead_e2e::process::run;
use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Outcome, Running, Stead, binary, ports, until};

fn config(listen: &str) -> String {
    format!(
        "[log]\naccess = \"off\"\n[process]\nworkers = 3\n[server.web]\nlisten = [{listen}]\n\
         [[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n"
    )
}

/// `stead run` with these sockets and variables, on a configuration in the folder.
fn activated(folder: &Folder, given: &[&str], config: &str) -> Command {
    let path = folder.write("stead.toml", config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_activate"));
    binary::clear_environment(&mut command);
    command.env("RUNTIME_DIRECTORY", runtime_in(folder));
    command.args(given).arg("--").arg(binary::stead()).args(["run", "-c"]).arg(path);
    command
}

fn start(folder: &Folder, given: &[&str], config: &str) -> Stead {
    Stead::start_command(activated(folder, given, config), &runtime_in(folder))
}

fn refused(folder: &Folder, given: &[&str], config: &str) -> Outcome {
    let outcome = run(&mut activated(folder, given, config));
    assert_eq!((outcome.code, outcome.signal), (Some(1), None), "{outcome:?}");
    outcome
}

fn get(mut connection: Connection) -> String {
    let answer = connection.request("GET", "/", &[]);
    assert_eq!(answer.status, 200);
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn inherited_sockets_are_served_by_every_worker_and_left_where_they_are() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let path = folder.join("web.sock");
    let given = [format!("tcp:127.0.0.1:{port}"), format!("unix:{}", path.display())];
    let config = config(&format!("\"127.0.0.1:{port}\", \"unix:web.sock\""));
    let mut stead = start(&folder, &[&given[0], &given[1]], &config);
    assert_eq!(stead.urls("web")[0], format!("http://127.0.0.1:{port}"));
    for _ in 0..50 {
        assert_eq!(get(Connection::open(port)), "ok");
        assert_eq!(get(Connection::open_unix(&path).unwrap()), "ok");
    }
    let listeners = &stead.status()["servers"][0]["listeners"];
    assert_eq!(
        (&listeners[0]["inherited"], &listeners[1]["inherited"]),
        (&true.into(), &true.into())
    );
    assert_eq!(stead.stop().code, Some(0));
    assert!(Connection::try_open(port).is_err(), "nobody else holds it");
    assert!(path.exists(), "the path belongs to who made it");
}

#[test]
fn a_port_alone_takes_the_socket_of_both_families() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    if TcpStream::connect((Ipv6Addr::LOCALHOST, 9)).is_err_and(|e| e.raw_os_error() == Some(97)) {
        // A machine without IPv6.
        return;
    }
    let stead = start(&folder, &[&format!("tcp:[::]:{port}")], &config(&format!("\":{port}\"")));
    for ip in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let stream = TcpStream::connect((ip, port)).unwrap();
        assert_eq!(get(Connection::of_tcp(stream).unwrap()), "ok");
    }
    assert_eq!(stead.status()["servers"][0]["listeners"][0]["inherited"], true);
}

#[test]
fn what_is_not_inherited_is_bound() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let given = format!("tcp:127.0.0.1:{port}");
    let stead =
        start(&folder, &[&given], &config(&format!("\"127.0.0.1:{port}\", \"127.0.0.1:0\"")));
    let other = stead.urls("web")[1].rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(get(Connection::open(port)), "ok");
    assert_eq!(get(Connection::open(other)), "ok");
    let listeners = &stead.status()["servers"][0]["listeners"];
    assert_eq!(listeners[1]["inherited"], false);
}

#[test]
fn a_socket_that_no_server_uses_stops_the_start() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let given = [format!("tcp:127.0.0.1:{port}"), "udp:127.0.0.1:0".to_owned()];
    let outcome = refused(&folder, &[&given[0], &given[1]], &config("\"127.0.0.1:0\""));
    let expect = format!(
        "error: the inherited socket 127.0.0.1:{port} (descriptor 3, test.socket) is used by no \
         server: write `listen = [\"127.0.0.1:{port}\"]` in one, or take the socket out of what \
         starts Stead\nerror: an inherited descriptor (descriptor 4, test.socket) is no listening \
         stream socket: write `ListenStream=` and `Accept=no` in its unit\nnothing started\n"
    );
    assert!(outcome.stderr.ends_with(&expect), "{outcome:?}");
}

/// The address is held by the inherited socket, which is just not what the server asks for: both
/// are said.
#[test]
fn an_address_that_is_nearly_inherited_is_explained() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let outcome = refused(
        &folder,
        &[&format!("tcp:0.0.0.0:{port}")],
        &config(&format!("\"127.0.0.1:{port}\"")),
    );
    assert!(outcome.stderr.contains("the address is in use, by stead"), "{outcome:?}");
    let help = format!("write `listen = [\"0.0.0.0:{port}\"]`");
    assert!(outcome.stderr.contains(&help), "{outcome:?}");
}

#[test]
fn sockets_of_another_process_are_not_taken() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    // Held open, but announced to somebody else: the address is in use.
    let given = format!("tcp:127.0.0.1:{port}");
    let config = config(&format!("\"127.0.0.1:{port}\""));
    let outcome = refused(&folder, &["LISTEN_PID=1", &given], &config);
    assert!(outcome.stderr.contains("the address is in use"), "{outcome:?}");
    assert!(!outcome.stderr.contains("inherited"), "{outcome:?}");
}

#[test]
fn variables_that_are_wrong_are_said() {
    let folder = Folder::new();
    for (variable, said) in [
        ("LISTEN_FDS=many", "error: LISTEN_FDS is `many`: write the number of sockets"),
        ("LISTEN_FDS=2000", "error: LISTEN_FDS is `2000`: write the number of sockets"),
        ("LISTEN_FDS=40", "error: LISTEN_FDS says 40 sockets were passed: descriptor "),
    ] {
        let outcome = refused(&folder, &[variable], &config("\"127.0.0.1:0\""));
        assert!(outcome.stderr.contains(said), "{outcome:?}");
    }
}

/// Whoever holds the sockets keeps their queue: a restart refuses nobody.
#[test]
fn a_restart_refuses_no_connection() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let given = ["--twice".to_owned(), format!("tcp:127.0.0.1:{port}")];
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut stead = start(&folder, &given, &config(&format!("\"127.0.0.1:{port}\"")));
    let first = stead.status()["pid"].as_u64().unwrap();
    let done = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut served = 0;
            while !done.load(Ordering::Relaxed) {
                let mut connection = Connection::open(port);
                let answer = connection.request("GET", "/", &[]);
                served += u32::from(answer.text() == "ok");
            }
            served
        });
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(stead.ask(&["stop"]).code, Some(0));
        let second = until(SOON, || {
            let answer = stead.ask(&["status", "--json"]);
            let status: Value = serde_json::from_str(&answer.stdout).ok()?;
            status["pid"].as_u64().filter(|pid| *pid != first)
        });
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        assert!(second.is_some(), "it runs again");
        client.join().expect("no connection is refused")
    });
    assert!(served > 50, "{served}");
    assert_eq!(stead.stop().code, Some(0));
}

/// systemd's own tool: it starts the program when the first connection comes, which is served.
#[test]
fn systemd_socket_activate_starts_it_with_the_first_connection() {
    let (folder, port) = (Folder::new(), ports::free().unwrap());
    let path = folder.join("web.sock");
    let file =
        folder.write("stead.toml", config(&format!("\"127.0.0.1:{port}\", \"unix:web.sock\"")));
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(format!("127.0.0.1:{port}")).arg("-l").arg(&path);
    command.arg("-E").arg(format!("RUNTIME_DIRECTORY={}", runtime_in(&folder).display()));
    command.arg(binary::stead()).args(["run", "-c"]).arg(file);
    let mut running = Running::spawn(&mut command);
    let first = until(SOON, || Connection::try_open(port).ok()).expect("systemd listens");
    running.wait_for("ready in ").unwrap();
    assert_eq!(get(first), "ok");
    assert_eq!(get(Connection::open_unix(&path).unwrap()), "ok");
    let before = inode(&path);
    assert_eq!(running.stop().code, Some(0));
    assert_eq!(inode(&path), before);
}

fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}
