//! The programs of other projects that tests, benches and fuzzing use, and how they get here.
//!
//! What is on the machine is taken as it is. What is missing is installed by apt, as root or with
//! passwordless sudo; services are kept from starting meanwhile. Where that is not possible the
//! command fails with the one line to type.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run;

/// One program and the Debian package that brings it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Any of these will do.
    programs: &'static [&'static str],
    package: &'static str,
    /// What it is for; shown when it is missing.
    used_by: &'static str,
}

/// What the end-to-end tests compare with or drive.
pub(crate) const TESTS: &[Peer] = &[
    NGINX, CURL, HTPASSWD, WGET, WRK, NGHTTP2, CHROMIUM, NODE, NODE_WS, SYSTEMD, SS, LOGROTATE,
    BROTLI, ZSTD, PEBBLE, HAPROXY, OPENSSL,
];

/// What the benches measure beside.
pub(crate) const BENCHES: &[Peer] =
    &[NGINX, NGINX_BROTLI, HAPROXY, CADDY, GO, WRK, NGHTTP2, SLOWHTTPTEST, PERF];

/// What libFuzzer, which is C++, is built with.
pub(crate) const FUZZING: &[Peer] = &[CXX];

const NGINX: Peer = peer(&["nginx"], "nginx-light", "the same files served side by side");
const NGINX_BROTLI: Peer = peer(
    &["/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so"],
    "libnginx-mod-http-brotli-filter",
    "brotli in nginx",
);
const CURL: Peer = peer(&["curl"], "curl", "requests as people make them");
const HTPASSWD: Peer = peer(&["htpasswd"], "apache2-utils", "passwords as other servers keep them");
const WGET: Peer = peer(&["wget"], "wget", "following every link of a tree");
const WRK: Peer = peer(&["wrk"], "wrk", "load");
const NGHTTP2: Peer = peer(&["h2load"], "nghttp2-client", "load, pipelined");
const CHROMIUM: Peer =
    peer(&["chromium", "chromium-browser", "google-chrome"], "chromium", "pages in a browser");
const NODE: Peer = peer(&["node"], "nodejs", "runs the WebSocket client");
const NODE_WS: Peer = peer(&["/usr/share/nodejs/ws/index.js"], "node-ws", "npm's WebSocket client");
const SYSTEMD: Peer = peer(&["systemd-socket-activate"], "systemd", "passing listening sockets on");
const SS: Peer = peer(&["ss"], "iproute2", "what the system says of sockets");
const LOGROTATE: Peer =
    peer(&["logrotate"], "logrotate", "moving logs away while they are written");
const BROTLI: Peer = peer(&["brotli"], "brotli", "decodes what was compressed");
const ZSTD: Peer = peer(&["zstd"], "zstd", "decodes what was compressed");
const PEBBLE: Peer = peer(&["pebble"], "pebble", "issues certificates by ACME");
const OPENSSL: Peer =
    peer(&["openssl"], "openssl", "certificates of tests, and TLS as others speak it");
const HAPROXY: Peer =
    peer(&["haproxy"], "haproxy", "passing connections on; a peer of the benches");
const CADDY: Peer = peer(&["caddy"], "caddy", "a peer of the benches");
const GO: Peer = peer(&["go"], "golang-go", "builds the net/http peer of the benches");
const SLOWHTTPTEST: Peer = peer(&["slowhttptest"], "slowhttptest", "attackers of the benches");
const PERF: Peer = peer(&["perf"], "linux-perf", "counts a server's system calls");
const CXX: Peer = peer(&["g++", "c++", "clang++"], "g++", "builds libFuzzer");

/// Sees to it that every peer is on this machine, installing what is missing.
///
/// # Errors
/// Where a peer is missing and cannot be installed; the message holds the line to type.
pub(crate) fn ensure(peers: &[Peer]) -> Result<()> {
    let missing = missing(peers);
    if missing.is_empty() {
        return Ok(());
    }
    for peer in &missing {
        println!("missing: {} ({})", peer.package, peer.used_by);
    }
    let packages: Vec<&str> = missing.iter().map(|peer| peer.package).collect();
    match root_prefix() {
        Some(prefix) if run::find("apt-get").is_some() => install(prefix, &packages)?,
        _ => bail!("{}", line_to_type(&packages)),
    }
    match self::missing(peers).first() {
        None => Ok(()),
        Some(peer) => bail!("{} is installed, yet there is no {}", peer.package, peer.programs[0]),
    }
}

fn missing(peers: &[Peer]) -> Vec<&Peer> {
    // A module, of nginx or of Node, is a file that nobody runs.
    let is_there = |program: &&str| run::find(program).is_some() || Path::new(program).is_file();
    let is_here = |peer: &&Peer| peer.programs.iter().any(is_there);
    peers.iter().filter(|peer| !is_here(peer)).collect()
}

fn line_to_type(packages: &[&str]) -> String {
    format!(
        "some programs are missing and cannot be installed without a password; type:\n\n    \
         sudo apt-get install -y --no-install-recommends {}\n\n\
         or run what needs no other program: cargo xtask test --offline",
        packages.join(" ")
    )
}

/// What goes before a command to run it as root; `None` where we may not.
fn root_prefix() -> Option<&'static [&'static str]> {
    if run::output("id", &["-u"]).is_ok_and(|uid| uid.trim() == "0") {
        return Some(&[]);
    }
    run::find("sudo")?;
    run::output("sudo", &["-n", "true"]).ok().map(|_| &["sudo", "-n"] as _)
}

fn install(prefix: &[&str], packages: &[&str]) -> Result<()> {
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["sh", "-c", INSTALL, "install"]);
    words.extend(packages);
    println!("installing {}", packages.join(" "));
    let status = run::command(words[0]).args(&words[1..]).status()?;
    if !status.success() {
        bail!("installing failed ({status}); {}", line_to_type(packages));
    }
    Ok(())
}

/// Whether this is a system on which `ensure` could install anything at all.
pub(crate) fn can_install() -> bool {
    Path::new("/etc/debian_version").exists() && root_prefix().is_some()
}

const fn peer(
    programs: &'static [&'static str],
    package: &'static str,
    used_by: &'static str,
) -> Peer {
    Peer { programs, package, used_by }
}

/// Installs its arguments. While it runs, a policy of 101 keeps every service from being started,
/// stopped or restarted (invoke-rc.d(8)); the policy that was there, or none, is restored however
/// the script ends, and by the next run if this one was killed.
const INSTALL: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
kept=$policy.before-stead
restore() {
    if [ -e "$kept" ]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi
}
if [ -e "$kept" ]; then
    mv -f "$kept" "$policy"
elif grep -qs 'Stead installs' "$policy"; then
    rm -f "$policy"
fi
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -e "$policy" ]; then
    mv "$policy" "$kept"
fi
printf '#!/bin/sh\n# Keeps services from starting while Stead installs test programs.\nexit 101\n' >"$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -q --no-install-recommends "$@"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let peers = [peer(&["sh"], "dash", "here"), peer(&["no-such-program"], "absent", "gone")];
        let packages: Vec<_> = missing(&peers).iter().map(|peer| peer.package).collect();
        assert_eq!(packages, ["absent"]);
    }

    #[test]
    fn the_line_to_type_is_one_line() {
        let text = line_to_type(&["wget", "wrk"]);
        let line = text.lines().find(|line| line.contains("apt-get")).unwrap();
        assert!(line.ends_with("wget wrk"), "{line}");
    }

    #[test]
    fn any_of_several_programs_will_do() {
        assert!(missing(&[peer(&["no-such-program", "sh"], "dash", "here")]).is_empty());
    }
}
