//! What a path may not reach: traversal in every spelling, links that leave the root, hidden files,
//! devices; and redirects that would lead elsewhere. All by raw bytes, as an attacker sends them.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use stead_e2e::client::exchange;
use stead_e2e::process::run;
use stead_e2e::{Folder, Stead};

/// Outside of every root, and what no answer may contain.
const SECRET: &str = "the secret outside";

/// `public` behind `/`, `pics` behind `/img/`, and a secret beside both.
fn start(folder: &Folder) -> Stead {
    folder.write("secret.txt", SECRET);
    folder.write("public/index.html", "front");
    folder.write("public/sub/page.html", "page");
    folder.write("pics/a.png", "picture");
    folder.write("pics-private/a.png", SECRET);
    let config = r#"[log]
access = { file = "access.log" }
format = "json"
[server.web]
listen = ["127.0.0.1:0"]
[[server.web.route]]
path = "/{*file}"
files = { root = "public", listing = true }
[[server.web.route]]
path = "/img/{*file}"
files = { root = "pics" }
[[server.web.route]]
path = "/old/{*rest}"
redirect = "/{rest}"
"#;
    Stead::start(folder, config)
}

/// The status of a target sent as it is, and the whole answer.
fn ask(stead: &Stead, target: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = exchange(stead.port("web"), request);
    assert!(!answer.contains(SECRET), "{target}: {answer}");
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{target}: {answer:?}")), answer)
}

#[test]
fn security_38_a_path_has_one_form_and_what_has_none_is_refused() {
    let folder = Folder::new();
    let mut stead = start(&folder);
    for (target, status) in [
        ("/sub/page.html", 200),
        ("/%73ub/%70age.html", 200),
        ("/sub/./page.html", 200),
        ("/x/../sub/page.html", 200),
        ("/x/%2e%2e/sub/page.html", 200),
        ("/%2E%2E/%2e%2E/sub/page.html", 200),
        ("/sub//page.html", 404),
        ("/sub%2Fpage.html", 400),
        ("/sub%2fpage.html", 400),
        ("/..%2fsecret.txt", 400),
        ("/%2e%2e%2fsecret.txt", 400),
        ("/a%00", 400),
        ("/page.html%00.png", 400),
        ("/a%5Cb", 400),
        ("/..%5c..%5csecret.txt", 400),
        ("/a\\b", 400),
        ("/a%", 400),
        ("/a%2", 400),
        ("/a%zz", 400),
        ("/%u002e%u002e/secret.txt", 400),
        ("/%c0%ae%c0%ae/secret.txt", 400),
        ("/%c0%af", 400),
        ("/%e0%80%ae", 400),
        ("/%f8%80%80%80%ae", 400),
        ("/%252e%252e/secret.txt", 404),
        ("/%252e%252e%252fsecret.txt", 404),
        ("/sub/page.html?../../secret.txt", 200),
    ] {
        assert_eq!(ask(&stead, target).0, status, "{target}");
    }
    stead.stop();
    let log = folder.read("access.log");
    let canonical = log.matches("\"path\":\"/sub/page.html\"").count();
    assert_eq!(canonical, 7, "the log shows the canonical path: {log}");
}

#[test]
fn security_39_nothing_outside_the_root_is_reached() {
    let folder = Folder::new();
    let stead = start(&folder);
    let up = [
        "..",
        "%2e%2e",
        "%2e.",
        ".%2e",
        "....//",
        "..;",
        "..%00",
        "..%0d",
        "...",
        "..%20",
        "%2e%2e%2f",
        "..%c0%af",
        "..%252f",
    ];
    for step in up {
        for depth in 1..6 {
            for prefix in ["/", "/sub/", "/img/", "/img"] {
                let target = format!("{prefix}{}secret.txt", format!("{step}/").repeat(depth));
                let (status, answer) = ask(&stead, &target);
                assert!(matches!(status, 400 | 404), "{target}: {answer}");
            }
        }
    }
    for target in
        ["/etc/passwd", "//etc/passwd", "/../../../../../../etc/passwd", "/proc/self/environ"]
    {
        let (status, answer) = ask(&stead, target);
        assert!(matches!(status, 400 | 404), "{target}: {answer}");
        assert!(!answer.contains("root:"), "{target}");
    }
}

#[test]
fn security_39_links_are_followed_inside_the_root_alone() {
    let folder = Folder::new();
    let stead = start(&folder);
    let public = |name: &str| folder.join(&format!("public/{name}"));
    for (link, to) in [
        ("inside.html", "sub/page.html"),
        ("sub/up.html", "../index.html"),
        ("folder", "sub"),
        ("outside.txt", "../secret.txt"),
        ("parent", ".."),
        ("around.txt", "../public/../secret.txt"),
        ("chain.txt", "outside.txt"),
        ("loop", "loop"),
        ("dangling", "nothing"),
    ] {
        symlink(to, public(link)).unwrap();
    }
    symlink(folder.join("secret.txt"), public("absolute.txt")).unwrap();
    symlink(public("index.html"), public("absolute-inside.html")).unwrap();
    symlink("/", public("slash")).unwrap();
    symlink("/proc/self/root", public("magic")).unwrap();
    for (target, status) in [
        ("/inside.html", 200),
        ("/sub/up.html", 200),
        ("/folder/page.html", 200),
        ("/outside.txt", 404),
        ("/parent/secret.txt", 404),
        ("/parent/", 404),
        ("/around.txt", 404),
        ("/chain.txt", 404),
        ("/loop", 404),
        ("/dangling", 404),
        ("/absolute.txt", 404),
        ("/absolute-inside.html", 404),
        ("/slash/etc/passwd", 404),
        ("/slash/", 404),
        ("/magic/etc/passwd", 404),
    ] {
        assert_eq!(ask(&stead, target).0, status, "{target}");
    }
}

#[test]
fn security_39_hidden_names_are_404_in_every_spelling() {
    let folder = Folder::new();
    let stead = start(&folder);
    for path in [".env", ".git/config", "sub/.htpasswd", "page.html~", "a.bak", "a.swp", "#a#"] {
        folder.write(&format!("public/{path}"), SECRET);
    }
    folder.write("public/.well-known/security.txt", "contact");
    for target in [
        "/.env",
        "/%2eenv",
        "/%2Eenv",
        "/.git/config",
        "/.git/",
        "/.git",
        "/x/../.git/config",
        "/sub/.htpasswd",
        "/sub/%2ehtpasswd",
        "/page.html~",
        "/page.html%7E",
        "/a.bak",
        "/a.BAK",
        "/a%2Ebak",
        "/a.swp",
        "/%23a%23",
    ] {
        assert_eq!(ask(&stead, target).0, 404, "{target}");
    }
    assert_eq!(ask(&stead, "/.well-known/security.txt").0, 200);
    let (_, listing) = ask(&stead, "/sub/");
    assert!(listing.contains("page.html") && !listing.contains("htpasswd"), "{listing}");
}

#[test]
fn security_40_a_prefix_takes_whole_segments() {
    let folder = Folder::new();
    let stead = start(&folder);
    for (target, status) in [
        ("/img/a.png", 200),
        ("/img../secret.txt", 404),
        ("/img../pics-private/a.png", 404),
        ("/img-private/a.png", 404),
        ("/imga.png", 404),
        ("/img/../pics-private/a.png", 404),
        ("/img/..;/secret.txt", 404),
        ("/img", 404),
        ("/IMG/a.png", 404),
    ] {
        assert_eq!(ask(&stead, target).0, status, "{target}");
    }
}

#[test]
fn security_41_ranges_never_send_more_than_the_file() {
    let folder = Folder::new();
    let stead = start(&folder);
    let content: String = (0..1_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    folder.write("public/letters.txt", &content);
    let many = |count: usize, range: &str| vec![range; count].join(",");
    let apart: Vec<String> = (0..16).map(|n| format!("{0}-{0}", n * 9)).collect();
    let mut connection = stead.connect("web");
    for (range, status) in [
        (many(1_000, "0-"), 200),
        (many(17, "0-0"), 200),
        (many(500, "-1"), 200),
        ("0-,-1000".to_owned(), 200),
        ("0-599,400-999".to_owned(), 200),
        (apart.join(","), 206),
        ("5-5,5-5,5-5".to_owned(), 206),
        ("1000-".to_owned(), 416),
        ("1000-,2000-".to_owned(), 416),
        ("18446744073709551615-".to_owned(), 416),
        ("0-18446744073709551616".to_owned(), 206),
        ("-18446744073709551616".to_owned(), 206),
    ] {
        let fields = [("Range", format!("bytes={range}"))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = connection.request("GET", "/letters.txt", &fields);
        assert_eq!(answer.status, status, "{range}");
        // Sixteen parts of one byte each have heads of their own.
        let most = if status == 206 { content.len().max(16 * 200) } else { content.len() };
        assert!(status == 416 || answer.body.len() <= most, "{range}: {}", answer.body.len());
    }
    let weak = [("Range", "bytes=0-9"), ("If-Range", "W/\"x\"")];
    assert_eq!(connection.request("GET", "/letters.txt", &weak).status, 200);
}

#[test]
fn security_42_devices_pipes_and_sockets_are_404() {
    let folder = Folder::new();
    let stead = start(&folder);
    let pipe = folder.join("public/pipe");
    assert_eq!(run(Command::new("mkfifo").arg(&pipe)).code, Some(0));
    let _socket = UnixListener::bind(folder.join("public/socket")).unwrap();
    symlink("/dev/zero", folder.join("public/zero-link")).unwrap();
    let mut targets = vec!["/pipe", "/socket", "/zero-link"];
    let zero = folder.join("public/zero");
    // Only root may make one.
    let made = run(Command::new("mknod").arg(&zero).args(["c", "1", "5"]));
    if made.code == Some(0) {
        targets.push("/zero");
    }
    for target in &targets {
        assert_eq!(ask(&stead, target).0, 404, "{target}");
    }
    let (_, listing) = ask(&stead, "/");
    for target in targets {
        assert!(!listing.contains(&target[1..]), "{listing}");
    }
}

#[test]
fn security_43_a_redirect_stays_on_this_host() {
    let folder = Folder::new();
    let stead = start(&folder);
    folder.make("public/evil.com");
    for target in [
        "//evil.com",
        "//evil.com/",
        "/%2F/evil.com",
        "/\\evil.com",
        "///evil.com",
        "/old//evil.com",
        "/old///evil.com",
        "/old/%2Fevil.com",
        "/old/\\evil.com",
        "/old/%5Cevil.com",
        "/x/..//evil.com",
        "/evil.com",
        "/old/%0d%0aSet-Cookie:x",
    ] {
        let (status, answer) = ask(&stead, target);
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        match status {
            308 => {
                let location = location.unwrap_or_else(|| panic!("{target}: {answer}"));
                let leaves = location.starts_with("//") || location.starts_with("/\\");
                assert!(location.starts_with('/') && !leaves, "{target}: {location}");
            }
            _ => assert!(matches!(status, 400 | 404), "{target}: {answer}"),
        }
        assert!(!answer.contains("\r\nSet-Cookie"), "{target}: {answer}");
    }
    assert_eq!(ask(&stead, "//evil.com").0, 404);
    let (_, answer) = ask(&stead, "/old//evil.com");
    assert!(answer.contains("\r\nLocation: /evil.com\r\n"), "{answer}");
}
