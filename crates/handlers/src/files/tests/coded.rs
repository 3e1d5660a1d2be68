//! Precompressed siblings.

use super::*;

fn site() -> Site {
    Site::new(&[("a.js", "plain"), ("a.js.br", "brotli"), ("a.js.gz", "gzip"), ("b.js", "alone")])
}

fn ask(bench: &Bench, path: &str, accept: &str) -> Answer {
    bench.call("GET", path, &[("Accept-Encoding", accept)])
}

#[test]
fn a_sibling_answers_where_the_client_takes_its_coding() {
    let site = site();
    let bench = site.bench("");
    let mut tags = Vec::new();
    for (accept, text, coding) in [
        ("gzip, deflate, br, zstd", "brotli", "br"),
        ("gzip", "gzip", "gzip"),
        ("zstd, gzip;q=0.5", "gzip", "gzip"),
        ("gzip, br;q=0.5", "gzip", "gzip"),
        ("identity", "plain", ""),
        ("zstd", "plain", ""),
        ("br;q=0", "plain", ""),
    ] {
        let answer = ask(&bench, "/a.js", accept);
        assert_eq!((answer.status, answer.text().as_str()), (200, text), "{accept}");
        assert_eq!(answer.field("Content-Encoding"), coding, "{accept}");
        assert_eq!(answer.field("Content-Type"), "text/javascript; charset=utf-8");
        assert_eq!(answer.field("Vary"), "Accept-Encoding", "{accept}");
        tags.push((answer.field("ETag"), coding));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one tag for each coding: {tags:?}");
    assert!(
        tags.iter()
            .all(|(tag, coding)| tag.ends_with(&format!("-{coding}\"")) || coding.is_empty())
    );
    let alone = ask(&bench, "/b.js", "br");
    assert_eq!((alone.text().as_str(), alone.field("Vary").as_str()), ("alone", ""));
}

#[test]
fn conditions_and_ranges_are_about_the_coded_form() {
    let site = site();
    let bench = site.bench("");
    let coded = ask(&bench, "/a.js", "br");
    let plain = bench.page("/a.js");
    let ask = |fields: &[(&str, &str)]| bench.call("GET", "/a.js", fields);
    let held = ask(&[("Accept-Encoding", "br"), ("If-None-Match", &coded.field("ETag"))]);
    assert_eq!((held.status, held.field("Vary").as_str()), (304, "Accept-Encoding"));
    let other = ask(&[("Accept-Encoding", "br"), ("If-None-Match", &plain.field("ETag"))]);
    assert_eq!(other.status, 200);
    let part = ask(&[("Accept-Encoding", "br"), ("Range", "bytes=0-2")]);
    assert_eq!((part.status, part.text().as_str()), (206, "bro"));
    assert_eq!(part.field("Content-Encoding"), "br");
    assert_eq!(part.field("Content-Range"), "bytes 0-2/6");
}

#[test]
fn a_sibling_older_than_its_file_is_passed_over() {
    let site = site();
    set_modified(&site.path("a.js"), UNIX_EPOCH + Duration::from_secs(MODIFIED + 1));
    set_modified(&site.path("a.js.gz"), UNIX_EPOCH + Duration::from_secs(MODIFIED + 1));
    let bench = site.bench("");
    assert_eq!(ask(&bench, "/a.js", "br, gzip").text(), "gzip");
    set_modified(&site.path("a.js.gz"), UNIX_EPOCH + Duration::from_secs(MODIFIED));
    pass_a_second();
    let answer = ask(&bench, "/a.js", "br, gzip");
    assert_eq!((answer.text().as_str(), answer.field("Vary").as_str()), ("plain", ""));
}

#[test]
fn siblings_may_be_turned_off_and_never_stand_alone() {
    let site = site();
    site.write("c.js.br", b"brotli");
    fs::create_dir(site.path("b.js.br")).unwrap();
    symlink("/etc/passwd", site.path("b.js.gz")).unwrap();
    let bench = site.bench("");
    assert!(is_missing(&ask(&bench, "/c.js", "br")));
    assert_eq!(ask(&bench, "/b.js", "br, gzip").text(), "alone");
    assert_eq!(ask(&bench, "/c.js.br", "br").field("Content-Type"), "application/x-brotli");
    let plain = ask(&site.bench(", precompressed = false"), "/a.js", "br");
    assert_eq!((plain.text().as_str(), plain.field("Vary").as_str()), ("plain", ""));
}

#[test]
fn a_sibling_that_appears_or_goes_is_seen_within_a_second() {
    let site = site();
    let bench = site.bench("");
    assert_eq!(ask(&bench, "/b.js", "br").field("Vary"), "");
    assert_eq!(ask(&bench, "/a.js", "br").text(), "brotli");
    site.write("b.js.br", b"coded");
    fs::remove_file(site.path("a.js.br")).unwrap();
    pass_a_second();
    assert_eq!(ask(&bench, "/b.js", "br").text(), "coded");
    assert_eq!(ask(&bench, "/b.js", "").field("Vary"), "Accept-Encoding");
    assert_eq!(ask(&bench, "/a.js", "br").text(), "plain");
}

#[test]
fn one_file_has_siblings_too() {
    let site = site();
    let bench = bench("/app.js", &format!("files = {{ file = {:?} }}", site.path("a.js")));
    assert_eq!(ask(&bench, "/app.js", "br").text(), "brotli");
    assert_eq!(ask(&bench, "/app.js", "").text(), "plain");
}
