//! Listeners as tables: what is asked of a socket reaches the system, and the connections that it
//! accepts, without a call for each.

use std::process::Command;

use stead_e2e::process::run;
use stead_e2e::{Folder, Stead};

const CONFIG: &str = r#"[log]
access = "off"
[process]
workers = 1
[server.web]
listen = [
  { address = "127.0.0.1:0", backlog = 37, tcp_keepalive = "300s", user_timeout = "20s" },
  "127.0.0.1:0",
]
[[server.web.route]]
path = "/"
respond = "ok"
"#;

/// `ss` shows a listener's backlog as its send queue, and the keep-alive timer of a connection.
fn sockets(arguments: &[&str]) -> String {
    let outcome = run(Command::new("ss").args(arguments));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn options_reach_the_listener_and_its_connections() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, CONFIG);
    let ports: Vec<&str> =
        stead.urls("web").iter().filter_map(|url| url.rsplit_once(':')).map(|url| url.1).collect();
    let [with, without] = ports[..] else { panic!("two listeners: {ports:?}") };
    let backlog = |port: &str| {
        let listing = sockets(&["-Hltn", &format!("sport = :{port}")]);
        let queue = listing.split_whitespace().nth(2).map(str::to_owned);
        queue.unwrap_or_else(|| panic!("no listener on {port}: {listing:?}"))
    };
    assert_eq!(backlog(with), "37");
    assert_ne!(backlog(without), "37");
    for (port, probed) in [(with, true), (without, false)] {
        let mut connection = stead_e2e::Connection::open(port.parse().unwrap());
        assert_eq!(connection.request("GET", "/", &[]).status, 200);
        let listing = sockets(&["-Htno", "state", "established", &format!("sport = :{port}")]);
        assert_eq!(listing.contains("timer:(keepalive,"), probed, "{port}: {listing}");
    }
    let listeners = &stead.status()["servers"][0]["listeners"];
    assert_eq!(listeners[0]["backlog"], 37);
    assert_eq!(listeners[0]["tcp_keepalive"]["idle"], "5m");
    assert_eq!(listeners[0]["tcp_keepalive"]["interval"], "15s");
    assert_eq!(listeners[0]["tcp_keepalive"]["count"], 4);
    assert_eq!(listeners[0]["user_timeout"], "20s");
    assert_eq!(listeners[0]["inherited"], false);
    assert_eq!(listeners[1]["tcp_keepalive"], "off");
}

#[test]
fn a_unix_socket_lets_in_whom_its_mode_names() {
    // As the umask says it once was, 0755: a proxy of another user could not connect.
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let listen = "[{ address = \"unix:a.sock\", mode = \"0666\" }, \
                  { address = \"unix:b.sock\", mode = \"0600\" }, \"unix:c.sock\"]";
    let config = format!(
        "[server.web]\nlisten = {listen}\n[[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n"
    );
    let stead = Stead::start(&folder, &config);
    let mode = |name: &str| {
        let found = folder.join(name).symlink_metadata().expect("the socket");
        format!("{:04o}", found.permissions().mode() & 0o7777)
    };
    assert_eq!([mode("a.sock"), mode("b.sock")], ["0666", "0600"]);
    let listeners = &stead.status()["servers"][0]["listeners"];
    assert_eq!(listeners[0]["mode"], "0666");
    assert!(listeners[2]["mode"].is_null());
}
