//! Compressed answers, as real programs decode them: curl, a browser, and the tools of each format.

use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, SystemTime};

use stead_e2e::chromium::Chromium;
use stead_e2e::client::Connection;
use stead_e2e::process::run;
use stead_e2e::{Folder, Stead};

fn config(middleware: &str) -> String {
    format!(
        "[log]\naccess = \"off\"\n[server.web]\nlisten = [\"127.0.0.1:0\"]\n\
         middleware = [{middleware}]\n[[server.web.route]]\npath = \"/{{*file}}\"\n\
         files = {{ root = \"public\" }}\n"
    )
}

/// A page whose lines differ.
fn page(bytes: usize) -> String {
    let mut page = String::from("<!doctype html><title>large</title><ul>\n");
    for line in 0.. {
        if page.len() >= bytes {
            break;
        }
        let word = line * 7_919 % 1_009;
        let _ = writeln!(page, "<li id=\"line-{line}\">item {word} of many, <b>{line}</b></li>");
    }
    page
}

/// Sizes on all ways through: as it is, at once from memory, at once from a file, as a stream.
const SIZES: &[usize] = &[200, 5_000, 100_000, 3_000_000];

fn start(folder: &Folder, middleware: &str) -> Stead {
    for size in SIZES {
        let path = folder.write(&format!("public/{size}.html"), page(*size));
        // Old enough for a strong tag.
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
    }
    Stead::start(folder, &config(middleware))
}

#[test]
fn curl_decodes_every_coding() {
    let folder = Folder::new();
    let stead = start(&folder, r#""compress""#);
    for size in SIZES {
        let url = stead.url("web", &format!("/{size}.html"));
        for accepted in ["gzip", "br", "zstd", "gzip, deflate, br, zstd", "identity"] {
            let (body, head) = (folder.join("body"), folder.join("head"));
            let mut curl = Command::new("curl");
            curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "--compressed", "-o"]);
            curl.arg(&body).arg("-D").arg(&head);
            let outcome = run(curl.args(["-H", &format!("Accept-Encoding: {accepted}"), &url]));
            assert_eq!(outcome.code, Some(0), "{size} {accepted}: {outcome:?}");
            assert!(folder.read("body") == page(*size), "{size} {accepted}");
            let head = folder.read("head");
            let is_coded = head.contains("\r\nContent-Encoding: ");
            assert_eq!(is_coded, *size > 1_024 && accepted != "identity", "{accepted}: {head}");
        }
    }
    assert_eq!(stead.counter("panics"), 0);
    assert!(stead.counter("compress_bytes_out") < stead.counter("compress_bytes_in") / 4);
}

#[test]
fn the_tools_of_each_format_find_nothing_amiss() {
    let folder = Folder::new();
    let stead = start(&folder, r#""compress""#);
    let mut client = Connection::open(stead.port("web"));
    for size in &SIZES[1..] {
        for (coding, program) in [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd")] {
            let target = format!("/{size}.html");
            let answer = client.request("GET", &target, &[("Accept-Encoding", coding)]);
            assert_eq!(answer.value("content-encoding"), coding);
            let (coded, plain) = (folder.write("coded", &answer.body), folder.join("plain"));
            let output = File::create(&plain).unwrap();
            // Programs refuse what follows the end of a body, which libraries pass over.
            let status = Command::new(program)
                .arg("-dc")
                .stdin(File::open(coded).unwrap())
                .stdout(output)
                .status()
                .unwrap();
            assert!(status.success(), "{program} on {size}");
            assert!(folder.read("plain") == page(*size), "{coding} {size}");
        }
    }
}

#[test]
fn caches_are_told_and_conditions_hold() {
    let folder = Folder::new();
    let stead = start(&folder, r#""compress""#);
    let mut client = Connection::open(stead.port("web"));
    let takes = ("Accept-Encoding", "gzip");
    let plain = client.request("GET", "/5000.html", &[]);
    let coded = client.request("GET", "/5000.html", &[takes]);
    assert_eq!(coded.value("etag"), format!("W/{}", plain.value("etag")));
    for answer in [&plain, &coded] {
        assert_eq!(answer.value("vary"), "Accept-Encoding");
    }
    assert_eq!((plain.field("accept-ranges"), coded.field("accept-ranges")), (Some("bytes"), None));
    for held in [plain.value("etag"), coded.value("etag")] {
        let again = client.request("GET", "/5000.html", &[takes, ("If-None-Match", held)]);
        assert_eq!((again.status, again.value("etag")), (304, held));
    }
    let range = [takes, ("Range", "bytes=0-9"), ("If-Range", plain.value("etag"))];
    let part = client.request("GET", "/5000.html", &range);
    assert_eq!((part.status, part.field("content-encoding")), (206, None));
    assert_eq!(part.body, &page(5_000).as_bytes()[..10]);
    let head = client.request("HEAD", "/5000.html", &[takes]);
    for name in ["content-encoding", "etag", "vary", "content-type", "last-modified"] {
        assert_eq!(head.field(name), coded.field(name), "{name}");
    }
    assert_eq!(head.field("content-length"), None);
}

#[test]
fn chromium_reads_a_brotli_page() {
    let folder = Folder::new();
    let stead = start(&folder, r#"{ compress = { codings = ["br"] } }"#);
    let mut browser = Chromium::start();
    browser.open(&stead.url("web", "/100000.html"));
    let lines = page(100_000).lines().filter(|line| line.starts_with("<li")).count();
    assert_eq!(
        browser.evaluate("document.querySelectorAll('li').length").as_u64(),
        Some(lines as u64)
    );
    let size = |browser: &mut Chromium, which: &str| {
        let entry = format!("performance.getEntriesByType('navigation')[0].{which}");
        browser.evaluate(&entry).as_u64().unwrap()
    };
    let (coded, plain) =
        (size(&mut browser, "encodedBodySize"), size(&mut browser, "decodedBodySize"));
    assert_eq!(plain, page(100_000).len() as u64);
    assert!(coded < plain / 4, "{coded} of {plain}");
}

/// Once a hundred requests for pages that are compressed at once ran one after the other, before
/// anybody else had a turn: seconds for two kilobytes of requests.
#[test]
fn pages_that_are_compressed_let_others_have_their_turn() {
    const PAGES: u32 = 100;
    let folder = Folder::new();
    folder.write("public/short.txt", "short\n");
    let stead = start(&folder, r#"{ compress = { codings = ["br"] } }"#);
    let mut client = TcpStream::connect(("127.0.0.1", stead.port("web"))).unwrap();
    client.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    // The preface; windows of 1 GiB; all the requests, the short one last.
    let mut asked = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = 0x3fff_0000_u32.to_be_bytes();
    asked.extend(frame(4, 0, 0, &[&[0, 4][..], &window].concat()));
    asked.extend(frame(8, 0, 0, &window));
    for n in 0..PAGES {
        asked.extend(get(2 * n + 1, "/100000.html"));
    }
    let short = 2 * PAGES + 1;
    asked.extend(get(short, "/short.txt"));
    client.write_all(&asked).unwrap();
    let (mut heads, mut ended) = (Vec::new(), 0);
    while ended <= PAGES {
        let (kind, flags, stream) = next_frame(&mut client);
        assert!(!matches!(kind, 3 | 7), "RST_STREAM or GOAWAY");
        if kind == 1 {
            heads.push(stream);
        }
        ended += u32::from(matches!(kind, 0 | 1) && flags & 1 != 0);
    }
    let before = heads.iter().position(|stream| *stream == short);
    assert!(before.is_some_and(|before| before < 20), "{heads:?}");
    assert_eq!(stead.counter("compress_bytes_in") / 100_000, u64::from(PAGES));
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(content);
    bytes
}

/// A whole request that takes brotli (RFC 7541 §6, no field indexed).
fn get(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(&[4][..], path), (&[1], "localhost"), (&[0x0f, 1], "br")] {
        block.extend(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    frame(1, 5, stream, &block)
}

/// Kind, flags and stream.
fn next_frame(client: &mut TcpStream) -> (u8, u8, u32) {
    let mut head = [0; 9];
    client.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    client.read_exact(&mut vec![0; length as usize]).unwrap();
    (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]))
}
