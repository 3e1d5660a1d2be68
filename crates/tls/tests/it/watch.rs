//! Files of certificates that change, and when that is seen.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use stead_core::Shared;
use stead_tls::{Entry, PemSource, Watch};
use tempfile::TempDir;

use crate::peer::{Authority, Pair, options};

const HOST: &str = "a.example";

fn write(folder: &TempDir, pair: &Pair) {
    fs::write(folder.path().join("chain.pem"), &pair.chain).expect("writes");
    fs::write(folder.path().join("key.pem"), &pair.key).expect("writes");
}

fn load(folder: &TempDir, pair: &Pair) -> Arc<Entry> {
    let mut options = options("main", pair);
    options.certificate = PemSource::File(folder.path().join("chain.pem"));
    options.key = PemSource::File(folder.path().join("key.pem"));
    Arc::new(Entry::load(options, &Shared::default()).expect("fits"))
}

#[test]
fn a_renewal_between_the_read_and_the_watch_is_seen() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let pair = authority.sign(&[HOST]);
    write(&folder, &pair);
    let entry = load(&folder, &pair);
    // The process starts meanwhile, or waits for whoever gave it the configuration.
    write(&folder, &authority.sign(&[HOST, "renewed.example"]));
    let mut watch = Watch::new(vec![Arc::clone(&entry)]);
    watch.look();
    assert_eq!(entry.names(), [HOST], "a change is looked at twice");
    watch.look();
    assert_eq!(entry.names(), [HOST, "renewed.example"]);
}

#[test]
fn half_a_renewal_waits_for_the_other_half() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let (pair, renewed) = (authority.sign(&[HOST]), authority.sign(&["renewed.example"]));
    write(&folder, &pair);
    let entry = load(&folder, &pair);
    let mut watch = Watch::new(vec![Arc::clone(&entry)]);
    fs::write(folder.path().join("chain.pem"), &renewed.chain).expect("writes");
    watch.look();
    write(&folder, &renewed);
    (0..2).for_each(|_| watch.look());
    assert_eq!(entry.names(), ["renewed.example"]);
    let failed = &entry.counts().reloads_failed;
    assert_eq!(failed.load(Relaxed), 0);
}

/// A pipe once was waited for, and with it the watch over every other certificate.
#[test]
fn a_pipe_in_place_of_a_key_holds_up_no_other_certificate() {
    let authority = Authority::new();
    let (one, other) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let pair = authority.sign(&[HOST]);
    let entries = [&one, &other].map(|folder| {
        write(folder, &pair);
        load(folder, &pair)
    });
    let pipe = one.path().join("key.pem");
    fs::remove_file(&pipe).expect("removes");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
    assert!(made.success());
    write(&other, &authority.sign(&[HOST, "renewed.example"]));
    let watched = entries.to_vec();
    let (told, looked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut watch = Watch::new(watched);
        (0..3).for_each(|_| watch.look());
        let _ = told.send(watch);
    });
    let mut watch = looked.recv_timeout(Duration::from_mins(1)).expect("it waits for nobody");
    let failed = |entry: &Entry| entry.counts().reloads_failed.load(Relaxed);
    assert_eq!(entries.each_ref().map(|entry| failed(entry)), [1, 0]);
    assert_eq!(entries[0].names(), [HOST], "the old certificate stays");
    assert_eq!(entries[1].names(), [HOST, "renewed.example"]);

    fs::remove_file(&pipe).expect("removes");
    write(&one, &authority.sign(&[HOST, "mended.example"]));
    (0..2).for_each(|_| watch.look());
    assert_eq!(entries[0].names(), [HOST, "mended.example"]);
}
