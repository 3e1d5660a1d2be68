//! Bodies from files: whole, in part, in a chain, cold, and changed while they are sent.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use stead_base::Reason;
use stead_core::{Body, Exchange, OpenFile, StatusCode};
use tempfile::NamedTempFile;

use crate::client::Client;
use crate::handlers::Make;
use crate::harness::Recipe;
use crate::witness::Witness;

/// Bytes that tell their place.
fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64).map(|at| (at * 31 + (at >> 8) * 7) as u8).collect()
}

/// A file on disk, not in a file system that is all memory.
fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    file.write_all(bytes).expect("write");
    file.as_file().sync_all().expect("on disk");
    file
}

pub(crate) fn opened(path: &Path) -> Arc<OpenFile> {
    let file = OwnedFd::from(File::open(path).expect("open"));
    let facts = stead_sys::file::facts(file.as_fd()).expect("facts");
    Arc::new(OpenFile::new(file, facts))
}

/// A body made anew for each answer.
fn body(make: impl Fn() -> Body + Send + Sync + 'static) -> impl stead_core::Handler {
    Make(move |exchange: &mut Exchange| exchange.respond(StatusCode::OK).with_body(make()))
}

pub(crate) fn part(file: &Arc<OpenFile>, start: u64, end: u64) -> Body {
    Body::File { file: Arc::clone(file), start, end }
}

/// Makes the kernel forget what it holds of a file; says whether it did.
fn make_cold(path: &Path) -> bool {
    let file = File::open(path).expect("open");
    fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
    !stead_sys::file::is_resident(&file, 0).expect("a look at the page cache")
}

#[test]
fn ten_megabytes_arrive_as_they_are_hot_and_cold() {
    let bytes = pattern(10_000_000);
    let disk = file(&bytes);
    let path = disk.path().to_owned();
    let shared = opened(&path);
    let mut witness =
        Witness::of(Recipe::default().route("/file", body(move || part(&shared, 0, 10_000_000))));
    let mut client = witness.harness.connect();
    let mut was_cold = false;
    for round in 0..4 {
        was_cold |= round % 2 == 1 && make_cold(&path);
        let answer = client.get("/file");
        assert_eq!(answer.field("content-length"), Some("10000000"));
        assert!(answer.body == bytes, "round {round}");
        witness.is_content();
    }
    println!("the file was {}", if was_cold { "cold" } else { "never cold on this file system" });
}

#[test]
fn small_files_parts_and_chains_arrive_as_they_are() {
    let bytes = pattern(700_000);
    let disk = file(&bytes);
    let whole = opened(disk.path());
    let (one, two) = (Arc::clone(&whole), Arc::clone(&whole));
    let parts = [(0, 1), (0, 13), (699_999, 700_000), (1_000, 300_000), (262_144, 262_145)];
    let chain = move || {
        let text = |text: &'static str| Body::Bytes(text.into());
        let inner = [part(&two, 10, 20), Body::Empty, text("-"), part(&two, 100_000, 600_000)];
        let mut bodies = vec![text("begin")];
        bodies.extend(inner);
        bodies.extend([Body::Buffer(b"mid".to_vec()), part(&two, 5, 5), part(&two, 0, 3)]);
        Body::Chain(bodies)
    };
    let expected =
        [b"begin", &bytes[10..20], b"-", &bytes[100_000..600_000], b"mid", &bytes[0..3]].concat();
    let mut recipe = Recipe::default().route("/chain", body(chain));
    for (index, (start, end)) in parts.into_iter().enumerate() {
        let file = Arc::clone(&one);
        recipe = recipe.route(&format!("/{index}"), body(move || part(&file, start, end)));
    }
    let harness = recipe.start();
    let mut client = harness.connect();
    for _ in 0..2 {
        for (index, (start, end)) in parts.into_iter().enumerate() {
            let answer = client.get(&format!("/{index}"));
            assert!(answer.body == bytes[start as usize..end as usize], "{start}..{end}");
        }
        assert!(client.get("/chain").body == expected);
        client.send("HEAD /chain HTTP/1.1\r\nHost: a\r\n\r\n");
        let length = format!("Content-Length: {}\r\n", expected.len());
        assert!(client.head().expect("a head").contains(&length));
    }
}

/// Nothing follows the head of an empty file, so nothing may be announced to the kernel.
#[test]
fn an_empty_file_is_not_held_back() {
    let disk = file(b"");
    let empty = opened(disk.path());
    let harness = Recipe::default().route("/", body(move || part(&empty, 0, 0))).start();
    let mut client = harness.connect();
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.get("/").field("content-length"), Some("0"));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// What happens to a file of 32 MiB while its answer is under way.
fn check_changed(change: impl Fn(&Path), chain: bool) {
    const SIZE: usize = 32 << 20;
    let disk = file(&vec![b'x'; SIZE]);
    let shared = opened(disk.path());
    let size = SIZE as u64;
    let make = move || {
        if chain {
            Body::Chain(vec![part(&shared, 0, 10), part(&shared, 0, size), part(&shared, 0, 10)])
        } else {
            part(&shared, 0, size)
        }
    };
    let mut witness = Witness::of(Recipe::default().route("/file", body(make)));
    let mut client = Client::connect_narrow(witness.harness.address);
    client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n");
    client.take(1 << 20).expect("the answer begins");
    change(disk.path());
    let received = client.read_to_close().len() + (1 << 20);
    assert!(received < SIZE, "{received} bytes of {SIZE}");
    witness.harness.expect_outcomes(Reason::FileChanged, 1);
    witness.is_content();
}

fn write(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("open to write")
}

#[test]
fn a_file_that_shrinks_is_cut_before_its_last_byte() {
    check_changed(|path| write(path).set_len(20 << 20).expect("truncate"), false);
    check_changed(|path| write(path).set_len(0).expect("truncate"), true);
}

#[test]
fn a_file_rewritten_in_place_is_cut_before_its_last_byte() {
    // The same size: only the time tells.
    check_changed(|path| write(path).write_all(b"yyyy").expect("rewrite"), false);
    check_changed(|path| write(path).write_all(b"yyyy").expect("rewrite"), true);
}

#[test]
fn a_file_that_grows_is_cut_too() {
    check_changed(|path| write(path).set_len(33 << 20).expect("extend"), false);
}
