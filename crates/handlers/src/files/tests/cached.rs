//! What is remembered, for how long, and that no answer is of two versions.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const LARGE: usize = 100_000;

#[test]
fn a_file_is_remembered_for_less_than_a_second() {
    for (size, more) in [(10, ""), (LARGE, "")] {
        let site = Site::new(&[]);
        site.write("a", &vec![b'a'; size]);
        let bench = site.bench(more);
        let began = Instant::now();
        assert_eq!(bench.page("/a").body.len(), size);
        fs::remove_file(site.path("a")).unwrap();
        let again = bench.page("/a");
        // Answered without a look at the path, unless this machine was very slow.
        assert!(again.status == 200 || began.elapsed() > Duration::from_millis(900));
        pass_a_second();
        assert!(is_missing(&bench.page("/a")));
        site.write("a", b"back");
        pass_a_second();
        assert_eq!(bench.page("/a").text(), "back");
    }
}

#[test]
fn a_file_replaced_by_rename_is_seen_within_a_second() {
    for size in [1_000, LARGE] {
        let site = Site::new(&[]);
        site.write("a", &vec![b'a'; size]);
        let bench = site.bench("");
        let before = bench.page("/a");
        // Same size, same time: only the inode tells.
        site.write("new", &vec![b'b'; size]);
        fs::rename(site.path("new"), site.path("a")).unwrap();
        pass_a_second();
        let after = bench.page("/a");
        assert!(after.body.iter().all(|byte| *byte == b'b'));
        assert_ne!(before.field("ETag"), after.field("ETag"));
    }
}

#[test]
fn a_file_rewritten_in_place_is_seen_within_a_second() {
    for size in [1_000, LARGE] {
        let site = Site::new(&[]);
        site.write("a", &vec![b'a'; size]);
        let bench = site.bench("");
        let before = bench.page("/a").field("ETag");
        site.write_new("a", &vec![b'b'; size]);
        pass_a_second();
        let after = bench.page("/a");
        assert!(after.body.iter().all(|byte| *byte == b'b'));
        assert_ne!(before, after.field("ETag"));
    }
}

#[test]
fn a_large_file_that_grows_is_served_as_long_as_it_is_now() {
    let site = Site::new(&[]);
    site.write("log", &vec![b'a'; LARGE]);
    let bench = site.bench("");
    for more in 0..5 {
        assert_eq!(bench.page("/log").body.len(), LARGE + more);
        site.write_new("log", &vec![b'a'; LARGE + more + 1]);
    }
}

#[test]
fn a_tag_is_weak_while_its_file_is_young() {
    let site = Site::new(&[]);
    site.write_new("a", b"one");
    let bench = site.bench("");
    let young = bench.page("/a").field("ETag");
    assert!(young.starts_with("W/\""), "{young}");
    let part = [("Range", "bytes=0-0"), ("If-Range", young.as_str())];
    assert_eq!(bench.call("GET", "/a", &part).status, 200);
    let modified = fs::metadata(site.path("a")).unwrap().modified().unwrap();
    // Rewritten without a trace: same inode, size and time.
    fs::write(site.path("a"), b"two").unwrap();
    set_modified(&site.path("a"), modified);
    pass_a_second();
    let grown = bench.page("/a");
    assert_eq!(grown.text(), "two", "nothing was concluded from equal facts");
    assert_eq!(format!("W/{}", grown.field("ETag")), young);
    assert_eq!(bench.call("GET", "/a", &[("If-None-Match", &young)]).status, 304);
}

#[test]
fn a_date_in_the_future_is_not_sent() {
    let site = Site::new(&[("a", "x")]);
    set_modified(&site.path("a"), SystemTime::now() + Duration::from_hours(10_000));
    let answer = site.bench("").page("/a");
    assert!(answer.field("ETag").starts_with("W/"));
    let sent = httpdate::parse_http_date(&answer.field("Last-Modified")).unwrap();
    assert!(sent <= SystemTime::now());
}

#[test]
fn a_missing_file_that_appears_is_seen_within_a_second() {
    let site = Site::new(&[]);
    let bench = site.bench("");
    assert!(is_missing(&bench.page("/a")));
    site.write("a", b"here");
    pass_a_second();
    assert_eq!(bench.page("/a").text(), "here");
}

#[test]
fn a_root_that_is_swapped_is_followed() {
    let site = Site::new(&[]);
    let (old, new) = (site.directory.path().join("old"), site.directory.path().join("new"));
    for (root, text) in [(&old, "old"), (&new, "new")] {
        fs::create_dir(root).unwrap();
        fs::write(root.join("a"), text).unwrap();
    }
    let current = site.directory.path().join("current");
    symlink("old", &current).unwrap();
    let bench = bench("/{*f}", &format!("files = {current:?}"));
    assert_eq!(bench.page("/a").text(), "old");
    let next = site.directory.path().join("next");
    symlink("new", &next).unwrap();
    fs::rename(&next, &current).unwrap();
    pass_a_second();
    assert_eq!(bench.page("/a").text(), "new");
    fs::remove_file(&current).unwrap();
    pass_a_second();
    assert!(is_missing(&bench.page("/a")));
}

#[test]
fn what_is_unchanged_is_carried_over_without_being_read_again() {
    let site = Site::new(&[("a", "text")]);
    let bench = site.bench("");
    let first = bench.page("/a");
    pass_a_second();
    let (_, jobs) = bench.waits();
    let second = bench.page("/a");
    assert_eq!((first.body, first.fields), (second.body, second.fields));
    assert_eq!(bench.waits().1, jobs, "nothing here may sleep any more");
}

#[test]
fn the_first_lookup_may_sleep_and_later_ones_do_not() {
    let site = Site::new(&[("a", "text")]);
    let bench = site.bench("");
    bench.page("/a");
    let waits = bench.waits();
    for _ in 0..100 {
        bench.page("/a");
        bench.call("GET", "/a", &[("Range", "bytes=0-1")]);
    }
    assert_eq!(bench.waits(), waits);
}

#[test]
fn without_a_cache_everything_is_looked_up() {
    let site = Site::new(&[("a", "old"), ("large", &"x".repeat(LARGE))]);
    let bench = site.bench(", cache = 'off'");
    assert_eq!(bench.page("/a").text(), "old");
    assert_eq!(bench.page("/large").body.len(), LARGE);
    site.write("new", b"new");
    fs::rename(site.path("new"), site.path("a")).unwrap();
    assert_eq!(bench.page("/a").text(), "new");
}

#[test]
fn a_small_cache_serves_many_files() {
    let site = Site::new(&[]);
    for n in 0..60 {
        site.write(
            &format!("{n}"),
            &vec![b'0' + (n % 10) as u8; if n % 2 == 0 { 100 } else { LARGE }],
        );
    }
    let bench = site.bench(", cache = { entries = 16, memory = '1MiB', open_files = 16 }");
    for round in 0..3 {
        for n in 0..60_usize {
            let answer = bench.page(&format!("/{n}"));
            assert!(answer.body.iter().all(|byte| *byte == b'0' + (n % 10) as u8), "{round} {n}");
        }
    }
}

#[test]
fn no_answer_is_of_two_versions() {
    for (size, more) in [(1_000, ", cache = 'off'"), (LARGE, ", cache = 'off'"), (1_000, "")] {
        let site = Site::new(&[]);
        site.write_new("a", &vec![b'a'; size]);
        let (root, stop) = (site.root(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0_usize.. {
                    // Each version has its own letter and its own size.
                    let letter = b'a' + (n % 26) as u8;
                    fs::write(root.join("new"), vec![letter; size + n % 26]).unwrap();
                    fs::rename(root.join("new"), root.join("a")).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let bench = site.bench(more);
            for _ in 0..300 {
                let answer = bench.page("/a");
                assert_eq!(answer.status, 200);
                let letter = answer.body[0];
                assert!(answer.body.iter().all(|byte| *byte == letter));
                assert_eq!(answer.body.len(), size + usize::from(letter - b'a'));
                let tag = answer.field("ETag");
                assert_eq!(
                    tag.split('-').nth(1),
                    Some(format!("{:x}", answer.body.len()).as_str())
                );
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn without_a_place_for_an_open_file_the_answer_is_503() {
    for (text, more) in [("kept", ""), ("not kept", ", cache = 'off'")] {
        let site = Site::new(&[("small", text)]);
        site.write("a", &vec![b'a'; LARGE]);
        site.write("b", &vec![b'b'; LARGE]);
        let bench = site.bench(more);
        let files = &bench.worker.process.files;
        files.set_limit(0);
        for method in ["GET", "HEAD", "GET"] {
            let answer = bench.call(method, "/a", &[]);
            assert_eq!((answer.status, answer.reason), (503, Reason::Overloaded));
            assert_eq!(answer.field("Retry-After"), "1");
        }
        assert_eq!((bench.page("/small").text().as_str(), files.held()), (text, 0));
        files.set_limit(1);
        assert_eq!(bench.page("/a").body.len(), LARGE);
        // A cache that keeps the one file leaves no place for the other.
        let is_kept = more.is_empty();
        assert_eq!(files.held(), usize::from(is_kept));
        assert_eq!(bench.page("/b").status, if is_kept { 503 } else { 200 });
    }
}
