//! The configuration as its author meets it: errors with their places, `check`, `explain`,
//! `schema`, `init` and `completions`, through the real binary.

use std::process::Command;

use serde_json::Value;
use stead_e2e::process::run;
use stead_e2e::stead::{once, runtime_in};
use stead_e2e::{Authority, Folder, Outcome, Stead, binary};

#[test]
fn an_unknown_key_is_shown_where_it_stands_with_what_to_write() {
    let folder = Folder::new();
    // The key stands in line 19, column 14, as in the design's example.
    let mut config = "# A comment.\n".repeat(15);
    config += "\n[server.web]\nlisten = [\":0\"]\ntimeouts = { bodyidle = \"30s\" }\n";
    config += "[[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n";
    folder.write("stead.toml", config);
    let expected = "\
error: unknown key `bodyidle`
  --> stead.toml:19:14
   |
19 | timeouts = { bodyidle = \"30s\" }
   |              ^^^^^^^^ write `body_idle`
";
    for command in ["check", "run"] {
        let outcome = once(&folder, &[command]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
        let end = if command == "run" { ", nothing started" } else { "" };
        let last = format!("stead.toml: 1 error{end}\n");
        assert!(outcome.stderr.ends_with(&last), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
    }
    assert!(!runtime_in(&folder).exists(), "nothing started");
}

#[test]
fn all_errors_of_all_files_come_in_one_run() {
    let folder = Folder::new();
    folder.write(
        "stead.toml",
        r#"include = ["conf.d/*.toml", "absent.toml"]
[server.web]
listen = [":0"]
timeouts = { idle = 75 }
limits = { body = 0, header_size = "32" }
[[server.web.route]]
path = "/a"
respnd = "x"
[[server.web.route]]
path = "/{id}"
respond = "${STEAD_E2E_UNSET}"
[[server.web.route]]
path = "/{name}"
respond = "y"
"#,
    );
    folder.write(
        "conf.d/a.toml",
        "[server.api]\nlisten = [\"no address\"]\n[[server.api.route]]\npath = \"/x\"\n\
         files = { root = \"pub\" }\n",
    );
    folder.write("conf.d/b.toml", "[server.web]\nlisten = [\":0\"]\n");
    let outcome = once(&folder, &["run"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for (place, words) in [
        ("stead.toml:1:", "absent.toml"),
        ("stead.toml:4:", "`\"75s\"`"),
        ("stead.toml:5:", "`\"off\"`"),
        ("stead.toml:8:1", "`respond`"),
        ("stead.toml:11:", "STEAD_E2E_UNSET"),
        ("stead.toml:13:8", "two routes match exactly the same requests"),
        ("conf.d/a.toml:2:", "not an address"),
        ("conf.d/a.toml:5:", "wildcard"),
        ("conf.d/b.toml:2:", "listen"),
    ] {
        assert!(is_told(&outcome.stderr, place, words), "{place} {words}\n{}", outcome.stderr);
    }
    let last = outcome.stderr.lines().last().unwrap_or_default();
    let count = outcome.stderr.matches("error: ").count();
    assert_eq!(last, format!("stead.toml: {count} errors, nothing started"));
    // The same, for programs.
    let json = once(&folder, &["check", "--json"]);
    let errors: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(errors.as_array().map(Vec::len), Some(count));
    assert_eq!(json.code, Some(2));
}

/// Whether one error names both a place and some words.
fn is_told(stderr: &str, place: &str, words: &str) -> bool {
    stderr
        .split("\n\n")
        .any(|error| error.contains(&format!("--> {place}")) && error.contains(words))
}

#[test]
fn a_file_that_is_no_toml_is_told_too() {
    let folder = Folder::new();
    folder.write("stead.toml", "[server.web\nlisten = [\":0\"\n");
    let outcome = once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("--> stead.toml:1:"), "{outcome:?}");
    folder.write("stead.toml", [0xff, 0xfe, b'a']);
    let outcome = once(&folder, &["check"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("stead.toml"), "{outcome:?}");
}

/// Two servers, sites, every kind of handler and match.
const WELL: &str = r#"include = ["more/*.toml"]
[log]
access = "off"

[server.web]
listen = ["127.0.0.1:0"]

[[server.web.route]]
path = "/{*file}"
files = { root = "public", fallback = "/index.html" }

[[server.web.route]]
path = "/users/{id}"
methods = ["PUT", "DELETE"]
respond = { status = 204 }

[[server.web.route]]
path = "/canary"
headers = { x-canary = "1" }
respond = "canary"

[[server.web.route]]
path = "/canary"
respond = "stable"

[[server.web.route]]
regex = '^/archive/(?<year>[0-9]{4})/'
redirect = { to = "/history/{year}", status = 308 }

[server.web.site.shop]
hosts = ["shop.example.com", "*.shop.example.com"]

[[server.web.site.shop.route]]
path = "/cart"
methods = ["POST"]
respond = "bought"
"#;

fn well() -> Folder {
    let folder = Folder::new();
    folder.write("stead.toml", WELL);
    folder.write("public/index.html", "front");
    folder.write(
        "more/api.toml",
        "[server.api]\nlisten = [\"127.0.0.1:0\"]\n[[server.api.route]]\npath = \"/only\"\n\
         methods = [\"GET\"]\nrespond = \"only\"\n[[server.api.route]]\npath = \"/healthz\"\n\
         health = \"ready\"\n",
    );
    folder
}

#[test]
fn a_good_configuration_is_summed_up_in_one_line() {
    let outcome = once(&well(), &["check"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout, "stead.toml: 2 servers, 8 routes, no errors\n");
    assert_eq!(outcome.stderr, "");
}

#[test]
fn what_check_full_prints_means_the_same() {
    let folder = well();
    let full = once(&folder, &["check", "--full"]);
    assert_eq!(full.code, Some(0), "{full:?}");
    assert!(full.stdout.contains("header_size = \"32KiB\""), "defaults are filled in: {full:?}");
    folder.write("full.toml", &full.stdout);
    let again = once(&folder, &["check", "--full", "-c", "full.toml"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.stdout, full.stdout, "printing it is a fixed point");
    let summary = once(&folder, &["check", "-c", "full.toml"]);
    assert_eq!(summary.stdout, "full.toml: 2 servers, 8 routes, no errors\n");
    let first = Stead::start_file(&folder.join("full.toml"), &runtime_in(&folder));
    assert_eq!(first.fetch("web", "/archive/2001/x").value("location"), "/history/2001");
}

#[test]
fn what_stands_in_the_environment_stays_out_of_what_is_printed() {
    let folder = well();
    let config = WELL.replace("\"bought\"", "\"${STEAD_E2E_SECRET}\"");
    folder.write("stead.toml", config);
    let mut command = binary::command(["check", "--full"]);
    command.current_dir(folder.path()).env("STEAD_E2E_SECRET", "hunter2");
    let outcome = run(&mut command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("${STEAD_E2E_SECRET}"), "{outcome:?}");
    assert!(!outcome.stdout.contains("hunter2"), "{outcome:?}");
}

#[test]
fn explain_shows_what_answers_and_why_not_the_others() {
    let folder = well();
    let explain = |arguments: &[&str]| {
        let outcome = once(&folder, &[&["explain"], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    let check = |arguments: &[&str], parts: &[&str]| {
        let text = explain(arguments);
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: {part}\n{text}");
        }
    };
    check(
        &["--server", "web", "http://localhost/pictures/a.png"],
        &[
            "route /{*file}",
            "stead.toml:9",
            "handler files",
            "file = \"pictures/a.png\"",
            "limits",
            "timeouts",
        ],
    );
    check(
        &["--server", "web", "-X", "PUT", "/users/7?x=y"],
        &["route /users/{id}", "id = \"7\"", "not /{*file}", "a route before it answers"],
    );
    check(
        &["--server", "web", "/users/7"],
        &["route /{*file}", "its methods do not include this one"],
    );
    check(&["--server", "web", "-H", "X-Canary: 1", "/canary"], &["stead.toml:18"]);
    check(
        &["--server", "web", "/canary"],
        &["stead.toml:23", "its header x-canary does not match"],
    );
    check(&["--server", "web", "/archive/1999/may"], &["handler redirect", "year = \"1999\""]);
    check(
        &["--server", "web", "-X", "POST", "http://eu.shop.example.com/cart"],
        &["site shop by host eu.shop.example.com", "route /cart", "handler respond"],
    );
    check(&["--server", "api", "/nowhere"], &["404 no_route"]);
    check(
        &["--server", "api", "-X", "DELETE", "/only"],
        &["405 method_not_allowed", "Allow: GET, HEAD"],
    );
    check(&["--server", "api", "-X", "OPTIONS", "/only"], &["204 to OPTIONS"]);
    check(&["--server", "api", "-X", "HEAD", "/only"], &["route /only", "more/api.toml:4"]);
    let all = explain(&["/only"]);
    assert!(all.contains("server web:") && all.contains("server api:"), "{all}");
}

#[test]
fn explain_asks_the_server_on_the_port_of_the_url() {
    let folder = Folder::new();
    let server = |name: &str, port: u16| {
        format!(
            "[server.{name}]\nlisten = [\":{port}\"]\n[[server.{name}.route]]\npath = \"/\"\n\
             respond = \"{name}\"\n"
        )
    };
    folder.write("stead.toml", server("one", 8090) + &server("two", 8091));
    let names = |url: &str| {
        let text = once(&folder, &["explain", url]).stdout;
        ["one", "two"].map(|name| text.contains(&format!("server {name}:")))
    };
    assert_eq!(names("http://localhost:8090/"), [true, false]);
    assert_eq!(names("http://[::1]:8091/"), [false, true]);
    assert_eq!(names("http://localhost:9999/"), [true, true], "a port of something in front");
    assert_eq!(names("/"), [true, true]);
}

#[test]
fn explain_refuses_what_the_server_would_refuse() {
    let folder = well();
    for (target, part) in [("/a%00b", "400"), ("/a%zz", "400"), ("/a\\b", "400"), ("/a b", "400")] {
        let outcome = once(&folder, &["explain", target]);
        assert_eq!(outcome.code, Some(2), "{target}: {outcome:?}");
        assert!(outcome.stderr.contains(part), "{target}: {outcome:?}");
    }
    let outcome = once(&folder, &["explain", "--server", "nobody", "/"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("web, api"), "{outcome:?}");
}

#[test]
fn explain_and_the_server_agree() {
    let folder = well();
    let stead = Stead::start_file(&folder.join("stead.toml"), &runtime_in(&folder));
    for (server, method, target, host, status) in [
        ("web", "GET", "/", "localhost", 200),
        ("web", "PUT", "/users/7", "localhost", 204),
        ("web", "GET", "/archive/1999/may", "localhost", 308),
        ("web", "POST", "/cart", "shop.example.com", 200),
        ("web", "POST", "/cart", "localhost", 405),
        ("api", "GET", "/nowhere", "localhost", 404),
        ("api", "DELETE", "/only", "localhost", 405),
        ("api", "OPTIONS", "/only", "localhost", 204),
        ("api", "GET", "/healthz", "localhost", 200),
    ] {
        let answer = stead.connect(server).request(method, target, &[("Host", host)]);
        assert_eq!(answer.status, status, "{server} {method} {target}");
        let url = format!("http://{host}{target}");
        let text = once(&folder, &["explain", "--server", server, "-X", method, &url]).stdout;
        let is_error = |code: &str| text.contains(&format!("  {code} "));
        assert_eq!(is_error("404"), status == 404, "{text}");
        assert_eq!(is_error("405") || text.contains("handler files"), {
            status == 405 || target == "/"
        });
    }
}

#[test]
fn the_schema_is_json_and_knows_every_key() {
    let folder = Folder::new();
    let outcome = once(&folder, &["schema"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let schema: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let text = schema.to_string();
    for key in ["include", "workers", "body_idle", "header_size", "listen", "hosts", "fallback"] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    assert!(schema["$id"].is_string());
    assert_eq!(
        schema["$defs"]["handler.files"]["not"]["required"],
        serde_json::json!(["root", "file"])
    );
    assert!(text.contains("\"enum\":[301,302,303,307,308]"), "the statuses of a redirect");
    for later in ["\"proxy\"", "\"upstream\"", "\"user\""] {
        assert!(!text.contains(later), "a key exists only when it works: {later}");
    }
}

#[test]
fn init_writes_a_configuration_that_runs() {
    let folder = Folder::new();
    let outcome = once(&folder, &["init"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(once(&folder, &["check"]).code, Some(0));
    let config = folder.read("stead.toml");
    // Anybody may be on port 8080 here.
    assert!(config.contains("\":8080\""), "{config}");
    let stead = Stead::start(&folder, &config.replace("\":8080\"", "\"127.0.0.1:0\""));
    assert!(stead.fetch("web", "/").text().contains("It works"));
    assert_eq!(stead.fetch("web", "/healthz").status, 200);
    let again = once(&folder, &["init"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("exists already"), "{again:?}");
}

#[test]
fn completions_are_a_script_that_bash_takes() {
    let folder = Folder::new();
    let outcome = once(&folder, &["completions", "bash"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    folder.write("stead.bash", &outcome.stdout);
    let script = "source ./stead.bash && COMP_WORDS=(stead ch) COMP_CWORD=1 \
        && _stead stead ch stead && echo \"${COMPREPLY[@]}\"";
    let outcome = run(Command::new("bash").args(["-c", script]).current_dir(folder.path()));
    assert_eq!(outcome.stdout.trim(), "check", "{outcome:?}");
    for shell in ["zsh", "fish"] {
        let outcome: Outcome = once(&folder, &["completions", shell]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("stead"));
    }
}

#[test]
fn a_reader_that_leaves_early_makes_no_noise() {
    // `stead schema | head -1` once ended in a panic.
    let folder = well();
    for words in ["schema", "check --full", "check", "completions bash", "explain /", "--help"] {
        let script = format!("{} {words} | true", binary::stead().display());
        let mut shell = Command::new("sh");
        binary::clear_environment(&mut shell);
        let outcome = run(shell.args(["-c", &script]).current_dir(folder.path()));
        assert!(!outcome.stderr.contains("panicked"), "{words}: {}", outcome.stderr);
    }
}

/// Each of these hung the check, and the start, until somebody wrote into the pipe.
#[test]
fn files_that_would_have_to_be_waited_for_are_refused_with_their_places() {
    let folder = Folder::new();
    assert_eq!(run(Command::new("mkfifo").arg(folder.join("pipe"))).code, Some(0));
    folder.write(
        "stead.toml",
        r#"include = ["pipe", "/dev/zero"]
[server.web]
listen = [":0"]
middleware = [{ deny = { file = "pipe" } }, { basic_auth = "pipe" }]
errors = { 404 = "pipe" }
[[server.web.route]]
path = "/"
respond = "ok"
middleware = [{ basic_auth = { users = { alice = { file = "/dev/zero" } } } }]
"#,
    );
    let pipe = "it is a pipe and no regular file";
    let device = "it is a device and no regular file";
    for command in ["check", "run"] {
        let outcome = once(&folder, &[command]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        for (line, what) in [
            ("1:12", pipe),
            ("1:20", device),
            ("4:33", pipe),
            ("4:60", pipe),
            ("5:18", pipe),
            ("9:42", device),
        ] {
            let place = format!("stead.toml:{line}\n");
            let at = outcome.stderr.find(&place);
            let before = at.and_then(|at| outcome.stderr.get(..at)).unwrap_or_default();
            let error = before.lines().rev().find(|line| line.starts_with("error")).unwrap_or("");
            assert!(error.contains(what), "{place} {}", outcome.stderr);
        }
    }
}

#[test]
fn the_first_file_may_come_through_a_pipe() {
    let folder = Folder::new();
    let config = "[server.web]\nlisten = [\":0\"]\n[[server.web.route]]\npath = \"/\"\n";
    folder.write("first.toml", format!("{config}respond = \"ok\"\n"));
    let program = binary::stead().display();
    let piped = format!("(sleep 0.2; cat first.toml) | {program} check -c /dev/stdin");
    let mut shell = Command::new("sh");
    binary::clear_environment(&mut shell);
    let outcome = run(shell.args(["-c", &piped]).current_dir(folder.path()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("1 server, 1 route, no errors"), "{outcome:?}");
}

/// Nothing said that the other listener serves the same to anybody.
#[test]
fn what_asks_clients_for_certificates_and_stands_open_elsewhere_is_warned_of() {
    let folder = Folder::new();
    let authority = Authority::new();
    authority.sign(&folder, "main", &["admin.test"]);
    authority.write(&folder, "ca.pem");
    let check = |server: &str| {
        let config = format!(
            "[server.web]\n{server}\n[tls.main]\ncertificate = \"main.pem\"\nkey = \"main.key\"\n\
             clients = {{ ca = \"ca.pem\" }}\n"
        );
        folder.write("stead.toml", &config);
        let outcome = once(&folder, &["check"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        format!("{}{}", outcome.stdout, outcome.stderr)
    };
    let open = "listen = [\":0\", { address = \"127.0.0.1:0\", tls = \"main\" }]";
    let site = "[server.web.site.admin]\nhosts = [\"admin.test\"]\n\
                [[server.web.site.admin.route]]\npath = \"/\"\nrespond = \"secret\"";
    let route = "[[server.web.route]]\npath = \"/\"\nrespond = \"secret\"";
    let warning = "`admin.test` is served here in the clear, to anybody";
    for what in [site, route] {
        let said = check(&format!("{open}\n{what}"));
        assert!(said.contains(warning), "{said}");
        assert!(said.contains("`main` asks its clients for certificates"), "{said}");
        let said = check(&format!("{open}\nredirect = \"https\"\n{what}"));
        assert!(!said.contains(warning), "{said}");
    }
    let other = site.replace("admin.test", "open.test");
    assert!(!check(&format!("{open}\n{other}")).contains(warning));
    // Who is on this machine is not anybody.
    let here = open.replace("\":0\"", "\"127.0.0.1:0\"");
    assert!(!check(&format!("{here}\n{site}")).contains(warning));
}

/// Each request for such a host was answered 421, and nothing had said so.
#[test]
fn hosts_that_no_certificate_names_are_warned_of_and_explained() {
    let folder = Folder::new();
    Authority::new().sign(&folder, "main", &["example.com", "*.example.com"]);
    let config = r#"
[server.web]
listen = ["127.0.0.1:0", { address = "127.0.0.1:0", tls = "main" }]
redirect = "https"

[server.web.site.shop]
hosts = ["example.com", "a.example.com", "*.example.com", "shop.example.org"]

[[server.web.site.shop.route]]
path = "/"
respond = "ok"

[tls.main]
certificate = "main.pem"
key = "main.key"
"#;
    folder.write("stead.toml", config);
    let outcome = once(&folder, &["check"]);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(0), "{said}");
    assert!(said.contains("no certificate names `shop.example.org`: it is answered 421"), "{said}");
    assert!(said.contains("no errors, 1 warning"), "{said}");
    for (url, line) in [
        ("https://a.example.com/", "\n  certificate tls.main\n"),
        ("https://shop.example.org/", "\n  421 misdirected_request: tls.main"),
    ] {
        let text = once(&folder, &["explain", url]).stdout;
        assert!(text.contains(line), "{url}: {text}");
    }
    let text = once(&folder, &["explain", "http://a.example.com/"]).stdout;
    assert!(!text.contains("tls.main"), "{text}");
    // Who speaks in the clear may have hosts that no certificate names.
    folder.write("stead.toml", config.replace("redirect = \"https\"\n", ""));
    let outcome = once(&folder, &["check"]);
    assert!(outcome.stdout.contains("no errors\n"), "{outcome:?}");
}
