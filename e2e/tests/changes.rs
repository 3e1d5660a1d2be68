//! Files that change while they are served: a replaced, removed or rewritten one is seen within a
//! second, and an answer is of one version or cut.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead_e2e::{Connection, Folder, Stead, until};

fn serve(folder: &Folder) -> Stead {
    folder.make("public");
    let config = "[process]\nworkers = 2\n[log]\naccess = { file = \"access.log\" }\n\
        format = \"json\"\n[server.web]\nlisten = [\"127.0.0.1:0\"]\n[[server.web.route]]\n\
        path = \"/{*file}\"\nfiles = { root = \"public\" }\n";
    Stead::start(folder, config)
}

/// What the design promises, and what a busy machine may add.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_millis(1_500);

/// Waits until every worker has seen a change, and says how long the last took.
fn seen(stead: &Stead, target: &str, is_new: impl Fn(u16, &str) -> bool) -> Duration {
    let began = Instant::now();
    let limit = SEEN_WITHIN + GRACE;
    until(limit, || {
        // Connections spread over the workers.
        let fresh = (0..8).all(|_| {
            let answer = stead.fetch("web", target);
            is_new(answer.status, &answer.text())
        });
        fresh.then(|| began.elapsed())
    })
    .unwrap_or_else(|| panic!("{target} is old after {limit:?}"))
}

#[test]
fn what_replaces_a_file_is_seen_within_a_second() {
    let folder = Folder::new();
    folder.write("public/page.txt", "version 0");
    let stead = serve(&folder);
    for version in 1..5 {
        seen(&stead, "/page.txt", |_, text| text == format!("version {}", version - 1));
        folder.write("next", format!("version {version}"));
        fs::rename(folder.join("next"), folder.join("public/page.txt")).unwrap();
        seen(&stead, "/page.txt", |_, text| text == format!("version {version}"));
    }
}

#[test]
fn what_appears_vanishes_or_is_rewritten_is_seen_within_a_second() {
    let folder = Folder::new();
    let stead = serve(&folder);
    let page = folder.join("public/page.txt");
    for round in 0..3 {
        seen(&stead, "/page.txt", |status, _| status == 404);
        fs::write(&page, format!("first {round}")).unwrap();
        seen(&stead, "/page.txt", |_, text| text == format!("first {round}"));
        // The same length and, within the clock's step, perhaps the same time.
        fs::write(&page, format!("again {round}")).unwrap();
        seen(&stead, "/page.txt", |_, text| text == format!("again {round}"));
        fs::remove_file(&page).unwrap();
    }
    seen(&stead, "/page.txt", |status, _| status == 404);
}

#[test]
fn a_root_that_is_swapped_is_followed_within_a_second() {
    let folder = Folder::new();
    folder.write("releases/1/page.txt", "one");
    folder.write("releases/2/page.txt", "two");
    std::os::unix::fs::symlink("releases/1", folder.join("current")).unwrap();
    let config = "[server.web]\nlisten = [\"127.0.0.1:0\"]\n[[server.web.route]]\n\
        path = \"/{*file}\"\nfiles = { root = \"current\" }\n";
    let stead = Stead::start(&folder, config);
    seen(&stead, "/page.txt", |_, text| text == "one");
    std::os::unix::fs::symlink("releases/2", folder.join("next")).unwrap();
    fs::rename(folder.join("next"), folder.join("current")).unwrap();
    seen(&stead, "/page.txt", |_, text| text == "two");
}

#[test]
fn versions_are_never_mixed() {
    let folder = Folder::new();
    folder.make("public");
    // Sizes on both sides of what is kept in memory; every byte names its version.
    let content = |version: u8| vec![b'a' + version % 26; 30_000 + usize::from(version) * 9_000];
    let replace = |version: u8| {
        folder.write("next", content(version));
        fs::rename(folder.join("next"), folder.join("public/page.txt")).unwrap();
    };
    replace(0);
    let stead = serve(&folder);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut connection = stead.connect("web");
                while !done.load(Ordering::Relaxed) {
                    let answer = connection.request("GET", "/page.txt", &[]);
                    assert_eq!(answer.status, 200);
                    let first = answer.body[0];
                    assert!(answer.body == content(first - b'a'), "a mixture");
                    let tag = answer.value("etag").to_owned();
                    let fields = [("If-Range", tag.as_str()), ("Range", "bytes=-10")];
                    let part = connection.request("GET", "/page.txt", &fields);
                    if part.status == 206 {
                        assert_eq!(part.body, vec![first; 10], "a part of another version");
                    }
                }
            });
        }
        for version in 1..25 {
            std::thread::sleep(Duration::from_millis(100));
            replace(version);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Far more than what the sockets' buffers hold.
const LARGE: u64 = 64 << 20;

/// A large file, and a download of it that has begun and is not read on.
fn slow_download(folder: &Folder, stead: &Stead) -> Connection {
    let path = folder.write("public/large.bin", "old");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(LARGE).unwrap();
    // Old enough that its time is one of the past.
    file.set_modified(std::time::SystemTime::now() - Duration::from_mins(1)).unwrap();
    let mut connection = stead.connect("web");
    connection.send("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = connection.answer_head().unwrap();
    assert_eq!(head.value("content-length"), LARGE.to_string());
    connection
}

#[test]
fn an_answer_whose_file_is_rewritten_is_cut_before_its_last_byte() {
    type Change = fn(&mut File);
    let changes: [(&str, Change); 3] = [
        ("written into", |file| {
            file.seek(SeekFrom::Start(LARGE / 2)).unwrap();
            file.write_all(b"new").unwrap();
        }),
        ("appended to", |file| {
            file.seek(SeekFrom::End(0)).unwrap();
            file.write_all(b"new").unwrap();
        }),
        ("truncated", |file| file.set_len(LARGE / 2).unwrap()),
    ];
    for (what, change) in changes {
        let folder = Folder::new();
        let mut stead = serve(&folder);
        let mut download = slow_download(&folder, &stead);
        let path = folder.join("public/large.bin");
        change(&mut File::options().write(true).open(path).unwrap());
        let received = download.rest();
        assert!((received.len() as u64) < LARGE, "{what}: all {} bytes came", received.len());
        assert!(stead.fetch("web", "/absent").status == 404, "{what}: others are served");
        assert_eq!(stead.outcome("file_changed"), 1, "{what}");
        stead.stop();
        let log = folder.read("access.log");
        let record = log.lines().find(|line| line.contains("/large.bin")).unwrap();
        assert!(record.contains("\"reason\":\"file_changed\""), "{what}: {record}");
    }
}

#[test]
fn a_download_of_a_replaced_or_removed_file_ends_with_the_old_one() {
    for remove in [false, true] {
        let folder = Folder::new();
        let stead = serve(&folder);
        let mut download = slow_download(&folder, &stead);
        let path = folder.join("public/large.bin");
        if remove {
            fs::remove_file(path).unwrap();
        } else {
            folder.write("next", "new");
            fs::rename(folder.join("next"), path).unwrap();
        }
        let received = download.take(LARGE as usize).expect("all of the old file");
        assert!(received.starts_with(b"old"));
        assert_eq!(stead.outcome("file_changed"), 0);
    }
}
