//! Starting: every address bound before anything serves, or nothing started and all reasons told;
//! the banner; the lock that keeps a second Stead of one configuration out.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;

use stead_e2e::process::run;
use stead_e2e::stead::{once, runtime_in};
use stead_e2e::wait::SOON;
use stead_e2e::{Connection, Folder, Stead, binary, ports, until};

#[test]
fn a_busy_port_is_told_with_server_address_reason_and_holder() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let free = ports::free().unwrap();
    let folder = Folder::new();
    folder.write(
        "stead.toml",
        format!(
            "[server.good]\nlisten = [\"127.0.0.1:{free}\"]\n[[server.good.route]]\n\
             path = \"/\"\nrespond = \"good\"\n[server.bad]\nlisten = [\"127.0.0.1:{port}\"]\n\
             [[server.bad.route]]\npath = \"/\"\nrespond = \"bad\"\n"
        ),
    );
    let outcome = once(&folder, &["run"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for part in ["server bad", &format!("127.0.0.1:{port}"), "in use", "nothing started"] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    let own = format!("(pid {})", std::process::id());
    assert!(outcome.stderr.contains(&own), "{own}: {outcome:?}");
    assert!(outcome.stderr.contains(own_name().trim()), "{outcome:?}");
    assert!(!outcome.stderr.contains("ready"), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    assert!(Connection::try_open(free).is_err(), "the good server was started");
    assert!(!runtime_in(&folder).join("admin.sock").exists());
}

#[test]
fn a_second_stead_on_the_same_port_fails_and_the_first_goes_on() {
    let (first_folder, second_folder) = (Folder::new(), Folder::new());
    let first = Stead::start(&first_folder, &fixed("127.0.0.1:0", "first"));
    let mut open = first.connect("web");
    assert_eq!(open.request("GET", "/", &[]).text(), "first");
    for address in ["127.0.0.1", "0.0.0.0", ""] {
        second_folder
            .write("stead.toml", fixed(&format!("{address}:{}", first.port("web")), "second"));
        let outcome = once(&second_folder, &["run"]);
        assert_eq!(outcome.code, Some(1), "{address}: {outcome:?}");
        let holder = format!("stead (pid {})", first.running.pid());
        assert!(outcome.stderr.contains(&holder), "{address}: {outcome:?}");
    }
    for _ in 0..20 {
        assert_eq!(first.fetch("web", "/").text(), "first");
    }
    assert_eq!(open.request("GET", "/", &[]).text(), "first");
}

#[test]
fn all_addresses_that_cannot_be_had_are_told_at_once() {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, two] = held.each_ref().map(|held| held.local_addr().unwrap().port());
    let folder = Folder::new();
    let live = UnixListener::bind(folder.join("taken.sock")).unwrap();
    let mut config = fixed(&format!("127.0.0.1:{one}"), "one");
    config += &fixed(&format!("127.0.0.1:{two}"), "two").replace("web", "api");
    // An address for documents (RFC 5737), which no machine has; and a socket that answers.
    config += &fixed("192.0.2.1:0", "three").replace("web", "far");
    config += &fixed("unix:taken.sock", "four").replace("web", "path");
    folder.write("stead.toml", config);
    let outcome = once(&folder, &["run"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let errors = outcome.stderr.lines().filter(|line| line.starts_with("error: server ")).count();
    assert_eq!(errors, 4, "{outcome:?}");
    for part in [
        format!("server web: cannot listen on 127.0.0.1:{one}"),
        format!("server api: cannot listen on 127.0.0.1:{two}"),
        "server far: cannot listen on 192.0.2.1:0".to_owned(),
        "server path: cannot listen on unix:".to_owned(),
    ] {
        assert!(outcome.stderr.contains(&part), "{part}: {outcome:?}");
    }
    let own = format!(" (pid {})", std::process::id());
    assert_eq!(outcome.stderr.matches(&own).count(), 3, "the holder is named: {outcome:?}");
    drop(live);
}

#[test]
fn port_0_is_shown_as_the_real_port() {
    let folder = Folder::new();
    let stead = Stead::start(&folder, &fixed("127.0.0.1:0", "here"));
    assert_ne!(stead.port("web"), 0);
    assert_eq!(stead.fetch("web", "/").text(), "here");
    let status = stead.status();
    assert_eq!(status["servers"][0]["addresses"][0], stead.urls("web")[0]);
}

#[test]
fn the_banner_says_what_runs_where() {
    let folder = Folder::new();
    let mut config = "[process]\nworkers = 2\n".to_owned();
    config += &fixed("127.0.0.1:0", "web");
    config += "[[server.web.route]]\npath = \"/more\"\nrespond = \"more\"\n";
    config += &fixed("unix:own.sock", "inner").replace("web", "internal");
    let stead = Stead::start(&folder, &config);
    let stderr = stead.running.stderr();
    let lines: Vec<&str> = stderr.lines().skip_while(|line| !line.starts_with("stead ")).collect();
    let path = folder.join("stead.toml");
    let version = env!("CARGO_PKG_VERSION");
    let first = format!("stead {version}   {}   2 workers   ", path.display());
    assert!(lines[0].starts_with(&first), "{stderr}");
    let limits: Vec<&str> = lines[0][first.len()..].split("   ").collect();
    let [connections, memory] = limits[..] else { panic!("{stderr}") };
    assert!(connections.ends_with(" connections (descriptors)"), "{stderr}");
    // The machine's, or that of a control group around the tests.
    let (bytes, _) = memory.split_once(" MiB of memory (").expect("the budget of memory");
    let mebibytes = bytes.replace(',', "").parse::<u64>().expect("a number");
    let known = stead.status()["budgets"]["memory"]["max"].as_u64().expect("a number") >> 20;
    assert!(mebibytes > 0 && mebibytes <= 2 * known, "{known} MiB: {stderr}");
    let port = stead.port("web");
    assert_eq!(lines[1], format!("web        http://127.0.0.1:{port}   2 routes"));
    let socket = folder.join("own.sock");
    assert_eq!(lines[2], format!("internal   unix:{}   1 route", socket.display()));
    let ready = lines[3].strip_prefix("ready in ").and_then(|rest| rest.split_once(" ms, "));
    let (ready, admin) = ready.unwrap();
    assert!(ready.parse::<u64>().is_ok(), "{stderr}");
    assert_eq!(admin, format!("admin socket {}", stead.admin_socket().display()));
    assert_eq!(lines.len(), 4, "{stderr}");
    assert_eq!(stead.running.stdout(), "", "banner and log go to stderr");
    let warning = "warning: running as root";
    assert_eq!(stderr.contains(warning), rustix::process::geteuid().is_root(), "{stderr}");
    let folder = Folder::new();
    let config = format!("[log]\nlevel = \"error\"\n{}", fixed(":0", "quiet"));
    let stderr = Stead::start(&folder, &config).running.stderr();
    assert!(!stderr.contains(warning), "{stderr}");
}

#[test]
fn a_port_alone_serves_both_address_families() {
    let folder = Folder::new();
    let config = format!("[log]\nformat = \"json\"\n{}", fixed(":0", "both"));
    let stead = Stead::start(&folder, &config);
    let mut expected = vec!["\"client\":\"127.0.0.1\""];
    assert_eq!(stead.fetch("web", "/").text(), "both");
    if TcpListener::bind("[::1]:0").is_ok() {
        let stream = TcpStream::connect(("::1", stead.port("web"))).unwrap();
        let mut connection = Connection::of_tcp(stream).unwrap();
        assert_eq!(connection.request("GET", "/", &[]).text(), "both");
        expected.push("\"client\":\"::1\"");
    }
    // The address of an IPv4 client is shown as what it is, not as one mapped into IPv6.
    let is_logged = || expected.iter().all(|part| stead.running.stdout().contains(part));
    let logged = until(SOON, || is_logged().then_some(()));
    assert!(logged.is_some(), "{}", stead.running.stdout());
}

#[test]
fn only_a_bare_port_takes_both_address_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        return;
    }
    let folder = Folder::new();
    let stead = Stead::start(&folder, &fixed("[::]:0", "six"));
    let stream = TcpStream::connect(("::1", stead.port("web"))).unwrap();
    let mut connection = Connection::of_tcp(stream).unwrap();
    assert_eq!(connection.request("GET", "/", &[]).text(), "six");
    assert!(Connection::try_open(stead.port("web")).is_err(), "IPv4 was not asked for");
}

#[test]
fn several_listeners_serve_one_server() {
    let folder = Folder::new();
    let config =
        fixed("127.0.0.1:0", "same").replace("\"]", "\", \"localhost:0\", \"unix:web.sock\"]");
    let stead = Stead::start(&folder, &config);
    let urls = stead.urls("web");
    assert_eq!(urls.len(), 3, "{urls:?}");
    for url in &urls[..2] {
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
        assert_eq!(Connection::open(port).request("GET", "/", &[]).text(), "same");
    }
    let mut inner = Connection::open_unix(&folder.join("web.sock")).unwrap();
    assert_eq!(inner.request("GET", "/", &[]).text(), "same");
}

#[test]
fn a_unix_socket_is_removed_at_the_end_and_a_stale_one_replaced() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    // Bound and left behind, as by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut stead = Stead::start(&folder, &fixed("unix:web.sock", "fresh"));
    let mut connection = Connection::open_unix(&path).unwrap();
    assert_eq!(connection.request("GET", "/", &[]).text(), "fresh");
    drop(connection);
    assert_eq!(stead.stop().code, Some(0));
    assert!(!path.exists(), "our own path is unlinked");
    assert!(!stead.admin_socket().exists());
}

#[test]
fn a_live_unix_socket_and_a_plain_file_are_refused() {
    let folder = Folder::new();
    let live = UnixListener::bind(folder.join("live.sock")).unwrap();
    folder.write("file.sock", "precious");
    // What is no socket is seen by a look already.
    for (path, reason, code) in [("live.sock", "in use", 1), ("file.sock", "no socket", 2)] {
        folder.write("stead.toml", fixed(&format!("unix:{path}"), "no"));
        let outcome = once(&folder, &["run"]);
        assert_eq!(outcome.code, Some(code), "{path}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{path}: {outcome:?}");
        assert!(outcome.stderr.contains(path), "{path}: {outcome:?}");
    }
    assert_eq!(folder.read("file.sock"), "precious");
    live.set_nonblocking(true).unwrap();
    let mut open = Connection::open_unix(&folder.join("live.sock")).unwrap();
    open.send("still mine");
    drop(live);
}

#[test]
fn a_unix_path_that_became_anothers_stays() {
    let folder = Folder::new();
    let path = folder.join("web.sock");
    let mut stead = Stead::start(&folder, &fixed("unix:web.sock", "old"));
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    assert_eq!(stead.stop().code, Some(0));
    assert!(path.exists(), "another's socket was unlinked");
}

#[test]
fn the_same_configuration_runs_once() {
    let folder = Folder::new();
    let first = Stead::start(&folder, &fixed("127.0.0.1:0", "first"));
    let outcome = once(&folder, &["run"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let pid = first.running.pid().to_string();
    assert!(outcome.stderr.contains("runs already"), "{outcome:?}");
    assert!(outcome.stderr.contains(&pid), "{outcome:?}");
    assert_eq!(first.fetch("web", "/").text(), "first");
    assert_eq!(first.status()["pid"], first.running.pid(), "its admin socket is unharmed");
}

#[test]
fn stead_alone_runs_what_is_here_or_prints_help() {
    let folder = Folder::new();
    let outcome = once(&folder, &[]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stdout.contains("Usage: stead"), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: no stead.toml here"), "{outcome:?}");
    folder.write("stead.toml", fixed("127.0.0.1:0", "bare"));
    let mut command = binary::command::<&str>([]);
    command.current_dir(folder.path());
    let stead = Stead::start_command(command, &runtime_in(&folder));
    assert_eq!(stead.fetch("web", "/").text(), "bare");
}

#[test]
fn exit_codes() {
    let folder = Folder::new();
    let code = |arguments: &[&str]| {
        let outcome = once(&folder, arguments);
        (outcome.code, outcome)
    };
    assert_eq!(code(&["--version"]).0, Some(0));
    assert_eq!(code(&["--help"]).0, Some(0));
    let (wrong_use, outcome) = code(&["fly"]);
    assert_eq!(wrong_use, Some(2), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    assert_eq!(code(&["run", "--no-such-option"]).0, Some(2));
    for command in ["run", "check", "status", "stop"] {
        let (none, outcome) = code(&[command]);
        assert_eq!(none, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("no stead.toml here"), "{outcome:?}");
    }
    let (missing, outcome) = code(&["run", "-c", "absent.toml"]);
    assert_eq!(missing, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("absent.toml"), "{outcome:?}");
    folder.write("stead.toml", "[server.web]\nlisten = \n");
    assert_eq!(code(&["run"]).0, Some(2));
    assert_eq!(code(&["check"]).0, Some(2));
}

#[test]
fn the_environment_names_the_configuration() {
    let folder = Folder::new();
    let path = folder.write("elsewhere/other.toml", fixed("127.0.0.1:0", "named"));
    let mut command = binary::command(["run"]);
    command.env("STEAD_CONFIG", &path);
    let stead = Stead::start_command(command, &runtime_in(&folder));
    assert_eq!(stead.fetch("web", "/").text(), "named");
    // Without RUNTIME_DIRECTORY the name of the configuration decides; the lock is found again.
    let mut status = binary::command(["status"]);
    status.env("STEAD_CONFIG", &path).env("RUNTIME_DIRECTORY", runtime_in(&folder));
    let outcome = run(&mut status);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("ready"), "{outcome:?}");
}

#[test]
fn an_address_needs_no_worker_count() {
    // Every worker has a socket of its own; with any number of them every connection is answered.
    for workers in [1, 2, 8] {
        let folder = Folder::new();
        let config =
            format!("[process]\nworkers = {workers}\n{}", fixed("127.0.0.1:0", "answered"));
        let stead = Stead::start(&folder, &config);
        let open: Vec<Connection> = (0..40).map(|_| stead.connect("web")).collect();
        for mut connection in open {
            assert_eq!(connection.request("GET", "/", &[]).text(), "answered");
        }
        assert_eq!(stead.status()["workers"], workers);
    }
}

/// A server `web` with one fixed answer at `/`.
fn fixed(address: &str, text: &str) -> String {
    format!(
        "[server.web]\nlisten = [\"{address}\"]\n[[server.web.route]]\npath = \"/\"\n\
         respond = \"{text}\"\n"
    )
}

fn own_name() -> String {
    stead_e2e::folder::text_of("/proc/self/comm".as_ref())
}
