//! How long a large configuration takes: 1,000 included files, 10,000 routes.
//!
//! `cargo run --release -p stead-config --example load_speed [FILES] [ROUTES]` writes them to a
//! temporary directory and prints the median of nine loads.

use std::fmt::Write as _;
use std::time::Instant;

use stead_config::{Config, Disk, Kind, Vocabulary, load};

/// Answers with a fixed text.
#[derive(Config)]
#[config(shorthand = "body")]
#[allow(dead_code, reason = "decoded only to be checked")]
struct Respond {
    /// What is sent.
    body: String,
    /// The status.
    #[config(default = 200, range = 200..=599)]
    status: u16,
}

const KINDS: &[Kind<()>] = &[Kind::new("respond", ()).settings::<Respond>()];

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let files: usize = arguments.next().unwrap_or(1_000);
    let routes: usize = arguments.next().unwrap_or(10_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("stead.toml");
    let root = "include = [\"conf.d/*.toml\"]\n\n[server.web]\nlisten = [\":8080\"]\n";
    std::fs::write(&path, root).expect("the root file");
    std::fs::create_dir(directory.path().join("conf.d")).expect("the directory of includes");
    for file in 0..files {
        let mut text = String::new();
        for route in 0..routes / files {
            let _ = write!(
                text,
                "[[server.web.route]]\npath = \"/area{file}/page{route}/{{id}}\"\n\
                 methods = [\"GET\"]\nheaders = {{ x-canary = \"1\" }}\n\
                 respond = {{ body = \"page {route}\\n\", status = 201 }}\n\n"
            );
        }
        let name = directory.path().join(format!("conf.d/{file:05}.toml"));
        std::fs::write(name, text).expect("an included file");
    }
    let vocabulary = Vocabulary::new().with_handlers(KINDS);
    let mut times: Vec<u128> = (0..9)
        .map(|_| {
            let start = Instant::now();
            let loaded = load(&path, &Disk, &|_| None, &vocabulary);
            let configuration = loaded.configuration.expect("no error");
            assert_eq!(configuration.route_count(), routes / files * files);
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    println!("{files} files, {routes} routes: {} ms (median of 9)", times[4] as f64 / 1e3);
}
