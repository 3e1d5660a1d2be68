//! The `reading` group: how long a large configuration takes to read and check.
//!
//! A thousand included files with ten routes each, checked by `stead check` and, as locations, by
//! `nginx -t`: the time from the start of the process to its end.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::machine::SERVER_CORE;
use crate::record::{Limit, Run};
use crate::server::{Scene, Server};
use crate::session::{Row, Session};

pub fn run(session: &Session) -> Result<()> {
    let row = Row {
        group: "reading",
        name: "includes",
        order: 0,
        title: "check of 1,000 included files with 10,000 routes",
        unit: "ms",
        limit: Limit::Value { at_most: MILLIS_MAX, valid_from: 0.0 },
        method: [("files".into(), format!("{FILES}, of {ROUTES} routes each"))].into(),
    };
    let servers = session.servers(&[Server::Nginx])?;
    let record = session.rounds(&row, &servers, |server| {
        let scene = Scene::new(&session.place, server, false)?;
        let path = write_files(server, &scene.work)?;
        let mut command = Command::new("taskset");
        command.arg("--cpu-list").arg(SERVER_CORE.to_string());
        command.arg(server.program(&scene.binaries));
        match server {
            Server::Nginx => command.arg("-t").arg("-e").arg(scene.work.join("error.log")),
            _ => command.arg("check"),
        };
        let start = Instant::now();
        let output = command.arg("-c").arg(path).stdin(Stdio::null()).output()?;
        let took = start.elapsed();
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        Ok(Run::new(took.as_secs_f64() * 1000.0))
    })?;
    session.finish(&record)
}

/// Writes the configuration of a server; gives the path of its root file.
fn write_files(server: Server, folder: &Path) -> Result<PathBuf> {
    let (root, name, route): (_, _, fn(&mut String, usize, usize) -> std::fmt::Result) =
        match server {
            Server::Nginx => (NGINX, "conf", |text, file, route| {
                writeln!(text, "location /area{file}/page{route}/ {{ return 201 \"{route}\"; }}")
            }),
            _ => (STEAD, "toml", |text, file, route| {
                writeln!(
                    text,
                    "[[server.web.route]]\npath = \"/area{file}/page{route}/{{*rest}}\"\n\
                     respond = {{ body = \"{route}\", status = 201 }}\n"
                )
            }),
        };
    let parts = folder.join("parts");
    fs::create_dir(&parts)?;
    for file in 0..FILES {
        let mut text = String::new();
        for index in 0..ROUTES {
            route(&mut text, file, index)?;
        }
        let path = parts.join(format!("{file:04}.{name}"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let path = folder.join(format!("root.{name}"));
    let work = folder.to_str().context("the folder's name is not UTF-8")?;
    fs::write(&path, root.replace("@WORK@", work))?;
    Ok(path)
}

const STEAD: &str = "include = [\"parts/*.toml\"]\n\n[server.web]\nlisten = [\"127.0.0.1:1\"]\n";
const NGINX: &str = "pid @WORK@/nginx.pid;\nevents {}\nhttp {\n    server {\n        \
                     listen 127.0.0.1:1;\n        include @WORK@/parts/*.conf;\n    }\n}\n";
const FILES: usize = 1_000;
const ROUTES: usize = 10;
const MILLIS_MAX: f64 = 300.0;
