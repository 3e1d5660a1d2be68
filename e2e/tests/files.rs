//! Files as clients get them: precompressed siblings, index, listing, fallback, ranges and resumed
//! downloads by curl, names of every sort, and `stead files`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use stead_e2e::doc_tree::to_target;
use stead_e2e::process::{Outcome, run};
use stead_e2e::stead::runtime_in;
use stead_e2e::wait::SOON;
use stead_e2e::{Folder, Stead, binary, until};

/// Serves the folder's `public`, with more settings of `files`.
fn serve(folder: &Folder, settings: &str) -> Stead {
    folder.make("public");
    let config = format!(
        "[log]\naccess = \"off\"\n[server.web]\nlisten = [\"127.0.0.1:0\"]\n\
         [[server.web.route]]\npath = \"/{{*file}}\"\nfiles = {{ root = \"public\"{settings} }}\n"
    );
    Stead::start(folder, &config)
}

#[test]
fn precompressed_siblings_answer_who_can_read_them() {
    let folder = Folder::new();
    let page = "<p>some page, long enough to be worth it</p>\n".repeat(200);
    folder.write("public/page.html", &page);
    let gzip = run(Command::new("gzip").args(["-k", "-9"]).arg(folder.join("public/page.html")));
    assert_eq!(gzip.code, Some(0), "{gzip:?}");
    folder.write("public/page.html.br", "pretend brotli");
    folder.write("public/page.html.zst", "pretend zstd");
    folder.write("public/plain.html", "no siblings");
    let stead = serve(&folder, "");
    let ask = |accept: &str| {
        stead.connect("web").request("GET", "/page.html", &[("Accept-Encoding", accept)])
    };
    for (accept, coding) in [
        ("br, gzip, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
        ("br;q=0.1, gzip", "gzip"),
        ("br;q=0", "-"),
        ("identity", "-"),
        ("", "-"),
        ("*", "br"),
    ] {
        let answer = ask(accept);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.value("content-encoding"), coding, "{accept}");
        assert_eq!(answer.value("content-type"), "text/html; charset=utf-8", "{accept}");
        assert_eq!(answer.value("vary").to_ascii_lowercase(), "accept-encoding", "{accept}");
    }
    assert_eq!(ask("br").text(), "pretend brotli");
    let tags =
        ["br", "zstd", "gzip", "identity"].map(|accept| ask(accept).value("etag").to_owned());
    for (index, tag) in tags.iter().enumerate() {
        assert!(!tags[..index].contains(tag), "every variant has a tag of its own: {tags:?}");
    }
    assert_eq!(stead.fetch("web", "/plain.html").field("content-encoding"), None);
    // A real client decodes what it asked for.
    let url = stead.url("web", "/page.html");
    let curl = curl(&["--compressed", "-H", "Accept-Encoding: gzip", &url]);
    assert_eq!(curl.stdout, page, "{}", curl.stderr);
    // A sibling older than its file says something else than it.
    let file = File::options().append(true).open(folder.join("public/page.html.gz")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    let passed_over = until(SOON, || ask("gzip").field("content-encoding").is_none().then_some(()));
    assert!(passed_over.is_some());
}

#[test]
fn precompressed_siblings_can_be_left_out() {
    let folder = Folder::new();
    folder.write("public/page.html", "page");
    folder.write("public/page.html.gz", "pretend gzip");
    let stead = serve(&folder, ", precompressed = false");
    let answer = stead.connect("web").request("GET", "/page.html", &[("Accept-Encoding", "gzip")]);
    assert_eq!((answer.text().as_str(), answer.field("content-encoding")), ("page", None));
    assert_eq!(stead.fetch("web", "/page.html.gz").value("content-type"), "application/gzip");
}

#[test]
fn the_first_index_that_exists_answers_for_a_directory() {
    let folder = Folder::new();
    folder.write("public/index.htm", "second");
    folder.write("public/sub/start.html", "first");
    folder.write("public/sub/index.htm", "second");
    folder.make("public/empty");
    let stead = serve(&folder, ", index = [\"start.html\", \"index.htm\"]");
    assert_eq!(stead.fetch("web", "/").text(), "second");
    assert_eq!(stead.fetch("web", "/sub/").text(), "first");
    assert_eq!(stead.fetch("web", "/empty/").status, 404, "nothing is listed unless asked for");
    let answer = stead.fetch("web", "/sub?a=b&c");
    assert_eq!((answer.status, answer.value("location")), (308, "/sub/?a=b&c"));
}

#[test]
fn a_fallback_answers_for_what_is_not_there() {
    let folder = Folder::new();
    folder.write("public/index.html", "application");
    folder.write("public/real.txt", "real");
    let stead = serve(&folder, ", fallback = \"/index.html\"");
    for (target, status, text) in [
        ("/real.txt", 200, "real"),
        ("/orders/17", 200, "application"),
        ("/orders/", 200, "application"),
        ("/.env", 200, "application"),
    ] {
        let answer = stead.fetch("web", target);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{target}");
    }
    assert_eq!(stead.fetch("web", "/a%2Fb").status, 400);
    assert_eq!(stead.fetch("web", "/a//b").status, 404);
    assert_eq!(stead.connect("web").request("POST", "/orders/17", &[]).status, 405);
}

#[test]
fn security_42_a_listing_escapes_names() {
    let folder = Folder::new();
    let names = [
        "<script>alert(1)</script>",
        "\"onclick=x",
        "a&b",
        "it's",
        "javascript:alert(1)",
        "a b",
        "100%",
        "caf\u{e9}",
        "semi;colon",
        "\u{202e}txt.exe",
        "back`tick",
    ];
    for name in names {
        folder.write(&format!("public/{}", name.replace('/', "_")), "x");
    }
    folder.write("public/sub/inner.txt", "x");
    folder.write("public/.hidden", "x");
    let stead = serve(&folder, ", listing = true");
    let page = stead.fetch("web", "/");
    assert_eq!(page.value("content-type"), "text/html; charset=utf-8");
    assert!(page.value("content-security-policy").starts_with("default-src 'none'"));
    let text = page.text();
    for bad in ["<script>", "\"onclick", "href=\"javascript:", ".hidden"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
    assert!(text.contains("&lt;script&gt;") && text.contains("./sub/"), "{text}");
    // Every link leads to its file.
    for href in text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let target = href.strip_prefix('.').unwrap_or_else(|| panic!("{href}"));
        assert_eq!(stead.fetch("web", target).status, 200, "{href}");
    }
    let answer = stead.connect("web").request("GET", "/", &[("Accept", "application/json")]);
    assert_eq!(answer.value("content-type"), "application/json");
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let entries = json["entries"].as_array().unwrap();
    assert_eq!(entries[0]["name"], "sub", "directories come first");
    assert_eq!(entries[0]["kind"], "directory");
    let listed: Vec<&str> =
        entries[1..].iter().filter_map(|entry| entry["name"].as_str()).collect();
    for name in names {
        assert!(listed.contains(&name.replace('/', "_").as_str()), "{name}: {listed:?}");
    }
    assert_eq!(listed.len(), names.len());
    let sub = stead.fetch("web", "/sub/").text();
    assert!(sub.contains("inner.txt") && sub.contains("href=\"../\""), "{sub}");
}

#[test]
fn names_of_every_sort_are_reached_by_their_escapes() {
    let folder = Folder::new();
    let names = [
        "a b.txt",
        "a+b.txt",
        "100%.txt",
        "%41.txt",
        "a;b.txt",
        "a?b.txt",
        "a#b.txt",
        "a&b=c.txt",
        "a,b.txt",
        "caf\u{e9}.txt",
        "\u{65e5}\u{672c}\u{8a9e}.txt",
        "\u{1f980}.txt",
        "~tilde.txt",
        "a'b\".txt",
        "[x].txt",
        "{y}.txt",
        "*.txt",
        "a:b.txt",
        "@at.txt",
        "$d.txt",
        "-dash.txt",
        "UPPER.TXT",
        "a..b.txt",
        "...a",
    ];
    for name in names {
        folder.write(&format!("public/{name}"), name);
    }
    let stead = serve(&folder, ", hidden = true");
    for name in names {
        let answer = stead.fetch("web", &to_target(name));
        assert_eq!((answer.status, answer.text().as_str()), (200, name), "{name}");
    }
    for (target, name) in [
        ("/a+b.txt", "a+b.txt"),
        ("/a;b.txt", "a;b.txt"),
        ("/a&b=c.txt", "a&b=c.txt"),
        ("/a:b.txt", "a:b.txt"),
        ("/~tilde.txt", "~tilde.txt"),
        ("/%7Etilde.txt", "~tilde.txt"),
        ("/%2541.txt", "%41.txt"),
        ("/caf%c3%a9.txt", "caf\u{e9}.txt"),
        ("/a%20b.txt?query", "a b.txt"),
        ("/x/../a+b.txt", "a+b.txt"),
        ("/*.txt", "*.txt"),
        ("/UPPER.TXT", "UPPER.TXT"),
    ] {
        assert_eq!(stead.fetch("web", target).text(), name, "{target}");
    }
    // A plus is a plus, and case counts.
    for target in ["/a+b.tx", "/a%2Bb%2Etxt/", "/upper.txt", "/A.txt"] {
        assert_eq!(stead.fetch("web", target).status, 404, "{target}");
    }
}

#[test]
fn one_file_answers_one_route() {
    let folder = Folder::new();
    folder.write("robots.txt", "User-agent: *\n");
    folder.write("pics/a.png", "picture");
    let config = "[server.web]\nlisten = [\"127.0.0.1:0\"]\n[[server.web.route]]\n\
        path = \"/robots.txt\"\nfiles = { file = \"robots.txt\" }\n[[server.web.route]]\n\
        path = \"/img/{*f}\"\nfiles = { root = \"pics\" }\n";
    let stead = Stead::start(&folder, config);
    let answer = stead.fetch("web", "/robots.txt");
    assert_eq!(answer.text(), "User-agent: *\n");
    assert_eq!(answer.value("content-type"), "text/plain; charset=utf-8");
    assert_eq!(stead.fetch("web", "/img/a.png").text(), "picture");
    let mut connection = stead.connect("web");
    for (method, status) in [("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
        let answer = connection.request(method, "/robots.txt", &[]);
        assert_eq!(answer.status, status, "{method}");
        let allow = answer.value("allow");
        assert!(status == 200 || allow == "GET, HEAD, OPTIONS", "{allow}");
    }
}

#[test]
fn curl_downloads_ranges_and_resumes() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..10_u32 << 20).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    folder.write("public/ten.bin", &content);
    let stead = serve(&folder, "");
    let url = stead.url("web", "/ten.bin");
    let whole = folder.join("whole");
    ok(&curl(&["-o", text(&whole), &url]));
    assert!(bytes(&whole) == content);
    let part = folder.join("part");
    ok(&curl(&["-r", "1000000-1999999", "-o", text(&part), &url]));
    assert!(bytes(&part) == content[1_000_000..2_000_000]);
    // A download that broke off after 3,333,333 bytes goes on from there.
    let resumed = folder.write("resumed", &content[..3_333_333]);
    ok(&curl(&["-C", "-", "-o", text(&resumed), &url]));
    assert!(bytes(&resumed) == content);
    // What is complete has nothing left to send: 416, which curl takes for done.
    let outcome = curl(&["-C", "-", "-o", text(&resumed), "-w", "%{http_code}", &url]);
    assert_eq!(outcome.stdout, "416", "{outcome:?}");
    assert!(bytes(&resumed) == content);
    let parts = folder.join("parts");
    ok(&curl(&["-r", "0-9,5000000-5000009", "-o", text(&parts), &url]));
    let parts = bytes(&parts);
    for expected in [&content[..10], &content[5_000_000..5_000_010]] {
        assert!(parts.windows(10).any(|window| window == expected));
    }
}

#[test]
fn a_gigabyte_is_sent_and_resumed() {
    const SIZE: u64 = 1 << 30;
    let folder = Folder::new();
    let path = folder.write("public/gigabyte.bin", "begin");
    let mut file = File::options().write(true).open(&path).unwrap();
    file.set_len(SIZE).unwrap();
    // Words at the end and in the middle show that nothing was shifted; the rest takes no disk.
    for (at, word) in [(SIZE / 2, "middle"), (SIZE - 3, "end")] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(word.as_bytes()).unwrap();
    }
    let stead = serve(&folder, "");
    let url = stead.url("web", "/gigabyte.bin");
    let format = "%{http_code} %{size_download}";
    let outcome = curl(&["-o", "/dev/null", "-w", format, &url]);
    assert_eq!(outcome.stdout, format!("200 {SIZE}"), "{outcome:?}");
    let from = (SIZE - 1_000_000).to_string();
    let rest = folder.join("rest");
    let outcome = curl(&["-C", &from, "-o", text(&rest), "-w", format, &url]);
    assert_eq!(outcome.stdout, "206 1000000", "{outcome:?}");
    assert!(bytes(&rest).ends_with(b"\0\0\0end"));
    let middle = curl(&["-r", &format!("{0}-{1}", SIZE / 2, SIZE / 2 + 5), &url]);
    assert_eq!(middle.stdout, "middle");
    let gone = curl(&["-r", &format!("{SIZE}-"), "-o", "/dev/null", "-w", "%{http_code}", &url]);
    assert_eq!(gone.stdout, "416", "{gone:?}");
}

#[test]
fn a_folder_is_served_at_once() {
    let folder = Folder::new();
    folder.write("shared/notes.txt", "notes");
    for (options, status) in [(&[][..], 404), (&["--listing"], 200)] {
        let mut command = binary::command(["files", "shared", "--listen", "127.0.0.1:0"]);
        command.args(options).current_dir(folder.path());
        let mut stead = Stead::start_command(command, &runtime_in(&folder));
        assert_eq!(stead.fetch("files", "/notes.txt").text(), "notes");
        let answer = stead.fetch("files", "/");
        assert_eq!(answer.status, status, "{options:?}");
        assert!(status == 404 || answer.text().contains("notes.txt"));
        let shared = std::fs::canonicalize(folder.join("shared")).unwrap();
        let stderr = stead.running.stderr();
        assert!(stderr.contains(&format!("   {}   ", shared.display())), "{stderr}");
        assert_eq!(stead.stop().code, Some(0));
    }
    let outcome = run(binary::command(["files", "absent"]).current_dir(folder.path()));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("absent"), "{outcome:?}");
}

fn curl(arguments: &[&str]) -> Outcome {
    let mut curl = Command::new("curl");
    run(curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "120"]).args(arguments))
}

fn ok(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "files that a test wrote, of bounded size")]
fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
