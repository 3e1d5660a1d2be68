//! `wget -r -l inf` of parts of a real tree, through Stead and nginx: it finds the same addresses,
//! with the same statuses but for the list of differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stead_e2e::differences::{Seen, Stale};
use stead_e2e::process::run;
use stead_e2e::stead::quoted;
use stead_e2e::{DocTree, Folder, Nginx, Stead};

/// Books of the Rust documentation: each a few hundred pages that link one another.
const BOOKS: &[&str] = &["nomicon", "reference", "rust-by-example", "book", "cargo", "rustdoc"];

/// Addresses in one crawl, at least.
const ADDRESSES_MIN: usize = 50;

#[test]
fn wget_finds_the_same_addresses_through_both() {
    let tree = DocTree::find();
    let seen = Seen::default();
    if tree.stale() == Stale::Passes {
        println!("{} is not Rust's documentation: from its front page", tree.root().display());
        crawl(tree.root(), &seen, 1);
    }
    let books = BOOKS.iter().map(|book| tree.root().join(book));
    books.filter(|book| book.is_dir()).for_each(|book| crawl(&book, &seen, ADDRESSES_MIN));
    crawl(crossing().path(), &seen, ADDRESSES_MIN);
    seen.check("wget", tree.stale());
}

/// Pages whose links lead to what the two servers see differently.
fn crossing() -> Folder {
    let folder = Folder::new();
    let mut links = String::new();
    for link in [
        "section",
        "bare/",
        "bare",
        ".hidden",
        "a%20b.html",
        "a+b.html",
        "caf%C3%A9.html",
        "100%25.html",
        "semi;colon.html",
        "section/../section/",
        "no-such-page",
        "index.html?query=1",
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(links, "<a href=\"{link}\">{link}</a>");
    }
    folder.write("index.html", &links);
    folder.write("section/index.html", "<a href=\"../\">up</a>");
    folder.write("bare/unlinked.html", "nothing leads here");
    folder.write(".hidden", "secret");
    for name in ["a b", "a+b", "caf\u{e9}", "100%", "semi;colon"] {
        folder.write(&format!("{name}.html"), "reached");
    }
    for number in 0..ADDRESSES_MIN {
        let next = format!("<a href=\"{}.html\">next</a>", number + 1);
        folder.write(&format!("chain/{number}.html"), next);
    }
    folder.write("index.html", links + "<a href=\"chain/0.html\">chain</a>");
    folder
}

fn crawl(root: &Path, seen: &Seen, addresses_min: usize) {
    let folder = Folder::new();
    let (nginx, mut stead) = (Nginx::start(root), start(&folder, root));
    fetch(&folder, nginx.port());
    fetch(&folder, stead.port("docs"));
    let theirs = addresses_of_nginx(&nginx.access_log());
    stead.stop();
    let ours = addresses_of_stead(&folder.read("access.log"));
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    println!("{}: {} addresses", root.display(), paths.len());
    assert!(paths.len() >= addresses_min);
    for path in paths {
        let statuses = |of: &Addresses| {
            let statuses = of.get(path).into_iter().flatten().cloned();
            statuses.collect::<Vec<_>>().join(",")
        };
        let example = format!("{}{path}", root.display());
        seen.compare(subject(root, path), &statuses(&theirs), &statuses(&ours), &example);
    }
}

fn subject(root: &Path, path: &str) -> &'static str {
    match path.trim_start_matches('/') {
        hidden if hidden.starts_with('.') => "status of a hidden file",
        path if root.join(path).is_dir() => "status of a directory",
        _ => "status",
    }
}

fn start(folder: &Folder, root: &Path) -> Stead {
    let config = format!(
        "[log]\naccess = {{ file = \"access.log\" }}\nformat = \"json\"\n[server.docs]\n\
         listen = [\"127.0.0.1:0\"]\n[[server.docs.route]]\npath = \"/{{*file}}\"\nfiles = {}\n",
        quoted(root)
    );
    Stead::start(folder, &config)
}

fn fetch(folder: &Folder, port: u16) {
    let pages = folder.make(&format!("pages-{port}"));
    let mut wget = Command::new("wget");
    wget.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    wget.args(["--no-config", "-q", "-r", "-l", "inf", "--no-proxy", "-P"]).arg(pages);
    let outcome = run(wget.arg(format!("http://127.0.0.1:{port}/")));
    // 8: some answers were errors; which ones, the logs tell.
    assert!(matches!(outcome.code, Some(0 | 8)), "{outcome:?}");
}

/// The statuses that each address was answered with.
type Addresses = BTreeMap<String, BTreeSet<String>>;

/// From lines of `METHOD TARGET STATUS`.
fn addresses_of_nginx(log: &str) -> Addresses {
    let mut addresses = Addresses::new();
    for line in log.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(path), Some(status)) = (words.next(), words.next()) else { panic!("{line}") };
        addresses.entry(path.to_owned()).or_default().insert(status.to_owned());
    }
    addresses
}

/// From JSON records.
fn addresses_of_stead(log: &str) -> Addresses {
    let mut addresses = Addresses::new();
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).expect("a JSON record");
        let mut path = record["path"].as_str().expect("a path").to_owned();
        if let Some(query) = record["query"].as_str().filter(|query| !query.is_empty()) {
            path = format!("{path}?{query}");
        }
        addresses.entry(path).or_default().insert(record["status"].to_string());
    }
    addresses
}
