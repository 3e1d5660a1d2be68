//! A tree of files, asked for in every way.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stead_core::Reason;
use tempfile::TempDir;

use crate::testing::{Bench, bench};
use stead_testing::Answer;

mod cached;
mod coded;
mod ranged;
mod refused;

/// A directory `root` inside another, so that there is something to leave it for.
struct Site {
    directory: TempDir,
}

/// When files of a [`Site`] were changed, in seconds since 1970.
const MODIFIED: u64 = 1_000_000_000;
const MODIFIED_DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let site = Self { directory: tempfile::tempdir().expect("a directory") };
        fs::create_dir(site.root()).expect("a root");
        for (path, text) in files {
            site.write(path, text.as_bytes());
        }
        site
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file that was changed long ago.
    fn write(&self, path: &str, content: &[u8]) {
        self.write_new(path, content);
        set_modified(&self.path(path), UNIX_EPOCH + Duration::from_secs(MODIFIED));
    }

    /// Writes a file that was changed just now.
    fn write_new(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    /// A handler on `pattern`; `more` settings begin with a comma.
    fn bench_at(&self, pattern: &str, more: &str) -> Bench {
        bench(pattern, &format!("files = {{ root = {:?}{more} }}", self.root()))
    }

    fn bench(&self, more: &str) -> Bench {
        self.bench_at("/{*file}", more)
    }
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).expect("a file");
    file.set_modified(time).expect("a time");
}

/// Until what was remembered before is looked at again.
fn pass_a_second() {
    sleep(Duration::from_millis(1_060));
}

fn is_missing(answer: &Answer) -> bool {
    answer.status == 404 && answer.reason == Reason::FileNotFound
}

#[test]
fn a_wildcard_names_the_file_beneath_the_root() {
    let site = Site::new(&[("a.css", "a {}"), ("b/c d.txt", "text"), ("100%.txt", "all")]);
    let bench = site.bench_at("/img/{*f}", "");
    let answer = bench.page("/img/a.css");
    assert_eq!((answer.status, answer.text().as_str(), answer.reason), (200, "a {}", Reason::Ok));
    assert_eq!(answer.field("Content-Type"), "text/css; charset=utf-8");
    assert_eq!(answer.field("Last-Modified"), MODIFIED_DATE);
    assert_eq!(answer.field("Accept-Ranges"), "bytes");
    let etag = answer.field("ETag");
    assert!(etag.starts_with('"') && etag.ends_with("-4-de0b6b3a7640000\""), "{etag}");
    assert_eq!(answer.field("Vary"), "");
    assert_eq!(bench.page("/img/b/c%20d.txt").text(), "text");
    assert_eq!(bench.page("/img/%62/c%20d.txt").text(), "text");
    assert_eq!(bench.page("/img/100%25.txt").text(), "all");
    assert_eq!(bench.page("/img/b/../a.css").text(), "a {}");
    for path in ["/img/none", "/img/b/none", "/img/none/a.css", "/img/a.css/b", "/img/a.css/"] {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
}

#[test]
fn one_file_answers_a_route_without_wildcard() {
    let site = Site::new(&[("robots.txt", "Disallow:")]);
    let settings = format!("files = {{ file = {:?} }}", site.path("robots.txt"));
    let robots = bench("/robots.txt", &settings);
    let answer = robots.page("/robots.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "Disallow:"));
    assert_eq!(answer.field("Content-Type"), "text/plain; charset=utf-8");
    let bench = bench("/old/{name}", &settings);
    assert_eq!(bench.page("/old/anything").text(), "Disallow:");
}

#[test]
fn a_directory_is_its_index_or_missing() {
    let site =
        Site::new(&[("index.html", "front"), ("a/home.htm", "home"), ("b/x", ""), ("c", "")]);
    fs::create_dir_all(site.path("d/index.html")).unwrap();
    let bench = site.bench(", index = ['index.html', 'home.htm']");
    assert_eq!(bench.page("/").text(), "front");
    assert_eq!(bench.page("/a/").text(), "home");
    assert_eq!(bench.page("/a/").field("Content-Type"), "text/html; charset=utf-8");
    for path in ["/b/", "/d/"] {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
    assert!(is_missing(&site.bench(", index = []").page("/")));
}

#[test]
fn a_directory_without_its_slash_is_redirected() {
    let site = Site::new(&[("a/b c/index.html", "")]);
    let bench = site.bench_at("/img/{*f}", "");
    for _ in 0..2 {
        let answer = bench.page("/img/a/b%20c?x=1&y=%2F");
        assert_eq!((answer.status, answer.body.len()), (308, 0));
        assert_eq!(answer.field("Location"), "/img/a/b%20c/?x=1&y=%2F");
    }
    assert_eq!(bench.page("/img/a").field("Location"), "/img/a/");
    assert_eq!(bench.call("HEAD", "/img/a?", &[]).field("Location"), "/img/a/?");
}

#[test]
fn a_listing_is_a_page_or_json() {
    let site = Site::new(&[("dir/B.txt", "12345"), ("dir/a <b>.txt", ""), ("dir/sub/x", "")]);
    site.write("dir/.hidden", b"");
    site.write("dir/backup~", b"");
    symlink("/etc/passwd", site.path("dir/outside")).unwrap();
    symlink("B.txt", site.path("dir/link")).unwrap();
    let bench = site.bench(", listing = true");
    let page = bench.page("/dir/");
    assert_eq!(page.field("Content-Type"), "text/html; charset=utf-8");
    assert_eq!(page.field("Vary"), "Accept");
    assert!(page.field("Content-Security-Policy").starts_with("default-src 'none'"));
    let text = page.text();
    let places: Vec<usize> =
        ["\"../\"", "\"./sub/\"", "\"./a%20%3Cb%3E.txt\"", "\"./B.txt\"", "\"./link\""]
            .iter()
            .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} in {text}")))
            .collect();
    assert!(places.is_sorted(), "{text}");
    for absent in ["hidden", "backup", "outside", "<b>"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    let json = bench.call("GET", "/dir/", &[("Accept", "application/json")]);
    assert_eq!(json.field("Content-Type"), "application/json");
    assert!(json.text().contains(
        "{\"name\":\"B.txt\",\"href\":\"./B.txt\",\"kind\":\"file\",\
         \"modified\":\"2001-09-09T01:46:40Z\",\"size\":5}"
    ));
    assert!(json.text().ends_with("],\"complete\":true}\n"));
    assert!(!bench.page("/").text().contains("../"));
    assert_eq!(bench.page("/dir").status, 308);
}

#[test]
fn a_listing_is_bounded_and_says_so() {
    let site = Site::new(&[]);
    for n in 0..=super::listing::ENTRIES_MAX {
        File::create(site.path(&n.to_string())).unwrap();
    }
    let bench = site.bench(", listing = true");
    let text = bench.page("/").text();
    assert!(text.contains("Only the first 10000 names are shown."));
    assert_eq!(text.matches("<bdi>").count(), super::listing::ENTRIES_MAX);
}

#[test]
fn a_fallback_answers_where_there_is_no_file() {
    let site = Site::new(&[("app.html", "app"), ("a.js", "js"), ("dir/x", ""), (".env", "")]);
    let bench = site.bench(", fallback = '/app.html'");
    assert_eq!(bench.page("/a.js").text(), "js");
    for path in ["/users/7", "/users/", "/", "/dir/", "/.env", "/a.js/", "/app.html"] {
        let answer = bench.page(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, "app"), "{path}");
        assert_eq!(answer.field("Content-Type"), "text/html; charset=utf-8");
    }
    assert!(is_missing(&bench.page("//users")));
    assert_eq!(bench.page("/a%2Fb").status, 400);
    assert_eq!(bench.page("/dir").status, 308);
    assert!(is_missing(&site.bench(", fallback = '/none.html'").page("/users")));
}

#[test]
fn only_get_and_head_are_taken() {
    let site = Site::new(&[("a", "text")]);
    let bench = site.bench("");
    let head = bench.call("HEAD", "/a", &[]);
    assert_eq!((head.status, head.field("Last-Modified").as_str()), (200, MODIFIED_DATE));
    for method in ["POST", "PUT", "DELETE", "PROPFIND"] {
        let answer = bench.call(method, "/a", &[]);
        assert_eq!((answer.status, answer.reason), (405, Reason::MethodNotAllowed));
        assert_eq!(answer.field("Allow"), "GET, HEAD");
    }
}

#[test]
fn conditions_are_answered() {
    let site = Site::new(&[("a.txt", "text")]);
    let bench = site.bench("");
    let full = bench.page("/a.txt");
    let etag = full.field("ETag");
    let held = bench.call("GET", "/a.txt", &[("If-None-Match", &etag)]);
    assert_eq!((held.status, held.body.len(), held.reason), (304, 0, Reason::Ok));
    assert_eq!(
        (held.field("ETag"), held.field("Last-Modified")),
        (etag, full.field("Last-Modified"))
    );
    assert_eq!(held.field("Content-Type"), "");
    let held = bench.call("HEAD", "/a.txt", &[("If-Modified-Since", MODIFIED_DATE)]);
    assert_eq!(held.status, 304);
    let failed = bench.call("GET", "/a.txt", &[("If-Match", "\"other\"")]);
    assert_eq!((failed.status, failed.reason), (412, Reason::PreconditionFailed));
    // Conditions say nothing of what is not there.
    assert!(is_missing(&bench.call("GET", "/none", &[("If-Match", "*")])));
}

#[test]
fn own_types_come_before_the_built_in_ones() {
    let site = Site::new(&[("a.html", ""), ("b.rs", ""), ("c", "")]);
    let bench =
        site.bench(", types = { html = 'text/html; charset=iso-8859-1', rs = 'text/plain' }");
    assert_eq!(bench.page("/a.html").field("Content-Type"), "text/html; charset=iso-8859-1");
    assert_eq!(bench.page("/b.rs").field("Content-Type"), "text/plain");
    assert_eq!(bench.page("/c").field("Content-Type"), "application/octet-stream");
}
