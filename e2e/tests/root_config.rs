//! What `cargo run --release` at the repository's root starts: everything in its configuration
//! answers.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use stead_e2e::folder::text_of;
use stead_e2e::process::run;
use stead_e2e::stead::once;
use stead_e2e::{Folder, Stead};

/// One request for each route: server, target, status and what the answer holds.
const ROUTES: &[(&str, &str, u16, &str)] = &[
    ("web", "/", 200, "<html"),
    ("web", "/hello/world", 200, "hello"),
    ("web", "/old/place", 308, ""),
    ("web", "/healthz", 200, ""),
    ("docs.localhost", "/", 200, "guide/"),
    ("api", "/heartbeat", 200, "ok"),
];

#[test]
fn everything_in_the_repositorys_configuration_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = text_of(&root.join("stead.toml"));
    let folder = Folder::new();
    for name in ["public", "docs"] {
        symlink(root.join(name), folder.join(name)).expect("a link");
    }
    // Any port may be taken here: the system picks others.
    let config: String = text.lines().map(free_ports).collect();
    let stead = Stead::start(&folder, &config);
    let checked = once(&folder, &["check"]);
    let counted = format!("{} routes, no errors", ROUTES.len());
    assert!(checked.stdout.contains(&counted), "a test for each route: {checked:?}");
    for (server, target, status, part) in ROUTES {
        let answer = match server.split_once('.') {
            // A site of the server `web`.
            Some(_) => stead.connect("web").request("GET", target, &[("Host", server)]),
            None => stead.fetch(server, target),
        };
        assert_eq!(answer.status, *status, "{server} {target}");
        assert!(answer.text().contains(part), "{server} {target}: {}", answer.text());
    }
    assert_eq!(stead.fetch("web", "/old/place").value("location"), "/place");
    let page = stead.fetch("web", "/");
    assert!(page.value("content-type").starts_with("text/html"));
    assert_eq!((page.value("x-request-id").len(), page.value("x-frame-options").len()), (32, 10));
    assert_eq!(stead.fetch("web", "/hello/world").value("x-hello"), "world");
    let secure = stead.urls("web").iter().find(|url| url.starts_with("https://")).expect("TLS");
    let fetched = run(Command::new("curl").args(["-sk", "-w", "%{http_version}"]).arg(secure));
    assert!(fetched.stdout.contains("<html") && fetched.stdout.ends_with('2'), "{fetched:?}");
    assert!(stead.fetch("web", "/nothing").text().contains("Not here"), "the page for a 404");
}

/// A line with the ports of its addresses replaced by 0.
fn free_ports(line: &str) -> String {
    if !line.starts_with("listen = ") {
        return format!("{line}\n");
    }
    let addresses = line.split('"').enumerate().map(|(index, part)| {
        let port = part.rfind(':').filter(|_| index % 2 == 1);
        port.map_or_else(|| part.to_owned(), |at| format!("{}:0", &part[..at]))
    });
    addresses.collect::<Vec<_>>().join("\"") + "\n"
}
