//! The servers under measurement: how each is started, asked for its version, and ended.
//!
//! Every server runs in its own folder with a configuration filled in from `bench/peers/`, bound to
//! the server core, and dies with the bench: by [`Running`]'s drop, or by the kernel
//! (`setpriv --pdeathsig`) when the bench itself is killed. Only its own process ids are signalled.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::certificate::Certificate;
use crate::machine::SERVER_CORE;
use crate::procfs;

/// A server that the bench knows how to run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub enum Server {
    Stead,
    /// Stead without what a row adds to it.
    SteadPlain,
    Nginx,
    /// nginx with `aio threads`, its documented way not to wait for the disk.
    NginxAio,
    Haproxy,
    Caddy,
    Go,
    Hyper,
    Axum,
}

/// What one server is to serve, and where.
#[derive(Clone, Debug)]
pub struct Scene {
    pub address: SocketAddr,
    /// Folder of the files served.
    pub root: PathBuf,
    /// Folder for this server's configuration, logs and temporary files.
    pub work: PathBuf,
    /// The JSON access log, where the row wants one.
    pub access_log: Option<PathBuf>,
    pub extra: Extra,
    /// Event loops: processes of nginx, threads of Stead.
    pub workers: u32,
    /// Shown by every server that speaks TLS.
    pub certificate: Certificate,
    /// Open descriptors allowed per process.
    pub descriptors: u64,
    pub binaries: Binaries,
}

/// What a row adds to the plain servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extra {
    Nothing,
    /// Every server compresses answers on the fly.
    Compress,
    /// Every server allows each client, named by `X-Client`, one request a day or a minute.
    RateLimit,
    /// Five middleware of Stead that find nothing to do.
    IdleMiddleware,
    /// Stead and axum are one program, a router of axum, that differs in the line that serves it.
    AxumRouter,
    /// Every server speaks HTTP/1.1 over TLS.
    Tls,
    /// Every server speaks HTTP/2, and HTTP/1.1, over TLS.
    TlsHttp2,
    /// Every server takes HTTP/2 in the clear, by prior knowledge.
    ClearHttp2,
    /// Every server closes no idle connection, each of its workers has sockets of its own, and
    /// Stead's have descriptor tables of their own.
    Crowd,
}

/// Where the servers that are not Debian packages lie.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub stead: PathBuf,
    /// The router of axum, served by either.
    pub hello: PathBuf,
    pub hyper: PathBuf,
    /// hyper over TLS, or over HTTP/2 in the clear.
    pub hyper_tls: PathBuf,
    pub axum: PathBuf,
    pub go: PathBuf,
}

impl Scene {
    /// A scene in a fresh folder below `place`, on a free loopback port.
    pub fn new(place: &Place, server: Server, access_log: bool) -> Result<Scene> {
        let work = place.folder(server.name())?;
        Ok(Scene {
            address: free_address()?,
            root: place.root(),
            access_log: access_log.then(|| work.join("access.log")),
            extra: Extra::Nothing,
            workers: 1,
            certificate: place.certificate.clone(),
            descriptors: place.descriptors,
            binaries: place.binaries.clone(),
            work,
        })
    }
}

/// The temporary folder of one run of the bench; removed when dropped.
pub struct Place {
    path: PathBuf,
    count: std::cell::Cell<u32>,
    descriptors: u64,
    binaries: Binaries,
    pub certificate: Certificate,
}

impl Place {
    pub fn create(below: &Path, descriptors: u64, stead: PathBuf) -> Result<Place> {
        remove_left_behind(below);
        let path = below.join(format!("work-{}", std::process::id()));
        fs::create_dir_all(path.join("root"))
            .with_context(|| format!("create {}", path.display()))?;
        // Servers get absolute paths.
        let path = path.canonicalize()?;
        let beside = std::env::current_exe()?.parent().map(Path::to_path_buf).unwrap_or_default();
        let binaries = Binaries {
            stead,
            hello: beside.join("stead-bench-hello"),
            hyper: beside.join("stead-bench-hyper"),
            hyper_tls: beside.join("stead-bench-hyper-tls"),
            axum: beside.join("stead-bench-axum"),
            go: path.join("go-peer"),
        };
        let certificate = Certificate::make(&path)?;
        Ok(Place { path, count: std::cell::Cell::new(0), descriptors, binaries, certificate })
    }

    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Makes what a server needs that is built here.
    pub fn build(&self, servers: &[Server]) -> Result<()> {
        if servers.contains(&Server::Go) {
            let source = Path::new(PEERS).join("go/main.go");
            let mut build = Command::new("go");
            build.arg("build").arg("-o").arg(&self.binaries.go).arg(source);
            build.env("GO111MODULE", "off").env("GOFLAGS", "");
            let status = build.status().context("run go (Debian package golang-go)")?;
            anyhow::ensure!(status.success(), "go build failed");
        }
        for server in servers {
            let program = server.program(&self.binaries);
            if program.is_absolute() && !program.exists() {
                bail!("{} is missing: {}", program.display(), server.remedy());
            }
        }
        Ok(())
    }

    /// What each binary says about itself.
    pub fn version(&self, server: Server) -> String {
        server.version(&self.binaries).unwrap_or_else(|error| format!("unknown ({error:#})"))
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        self.count.set(self.count.get() + 1);
        let path = self.path.join(format!("{name}-{}", self.count.get()));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Server::Stead => "stead",
            Server::SteadPlain => "stead-plain",
            Server::Nginx => "nginx",
            Server::NginxAio => "nginx-aio",
            Server::Haproxy => "haproxy",
            Server::Caddy => "caddy",
            Server::Go => "go",
            Server::Hyper => "hyper",
            Server::Axum => "axum",
        }
    }

    pub fn program(self, binaries: &Binaries) -> PathBuf {
        match self {
            Server::Stead | Server::SteadPlain => binaries.stead.clone(),
            Server::Nginx | Server::NginxAio => on_path("nginx"),
            Server::Haproxy => on_path("haproxy"),
            Server::Caddy => on_path("caddy"),
            Server::Go => binaries.go.clone(),
            Server::Hyper => binaries.hyper.clone(),
            Server::Axum => binaries.axum.clone(),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Server::Stead | Server::SteadPlain => {
                "build it with `cargo build --release -p stead-cli`, or name it in STEAD_BIN, \
                 or leave it out with --no-stead"
            }
            Server::Hyper | Server::Axum => {
                "build it with `cargo build --release -p stead-bench --bins`"
            }
            Server::Go => "the build left no file",
            Server::Nginx | Server::NginxAio | Server::Haproxy | Server::Caddy => {
                "install the Debian package of that name"
            }
        }
    }

    /// Writes the configuration into the scene's folder and returns the command.
    fn command(self, scene: &Scene) -> Result<Command> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list"]);
        command.arg(SERVER_CORE.to_string());
        let port = scene.address.port().to_string();
        if scene.extra == Extra::AxumRouter {
            command.arg(&scene.binaries.hello).arg(self.name()).arg(port);
            return Ok(command);
        }
        command.arg(match (self, scene.extra) {
            (Server::Hyper, Extra::Tls | Extra::TlsHttp2 | Extra::ClearHttp2) => {
                scene.binaries.hyper_tls.clone()
            }
            _ => self.program(&scene.binaries),
        });
        match self {
            Server::Stead | Server::SteadPlain => {
                command.args(["run", "-c"]).arg(self.stead_configuration(scene)?);
                command.env("RUNTIME_DIRECTORY", &scene.work).env("STATE_DIRECTORY", &scene.work);
            }
            Server::Nginx | Server::NginxAio => {
                command.arg("-c").arg(self.nginx_configuration(scene)?);
                command.arg("-p").arg(&scene.work);
                command.arg("-e").arg(scene.work.join("nginx-error.log"));
            }
            Server::Haproxy => {
                command.arg("-db").arg("-f").arg(scene.fill("haproxy.cfg", &[])?);
            }
            Server::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                let compress = if scene.extra == Extra::Compress { "encode zstd" } else { "" };
                command.arg(scene.fill("Caddyfile", &[("@COMPRESS@", compress)])?);
                command.env("GOMAXPROCS", "1").env("HOME", &scene.work);
                command.env("XDG_DATA_HOME", &scene.work).env("XDG_CONFIG_HOME", &scene.work);
            }
            Server::Go => {
                command.arg(port).arg(&scene.root).env("GOMAXPROCS", "1");
            }
            Server::Hyper if scene.extra.is_secure() => {
                command.arg(port).arg("tls");
                command.arg(&scene.certificate.chain).arg(&scene.certificate.key);
            }
            Server::Hyper if scene.extra == Extra::ClearHttp2 => {
                command.arg(port).arg("h2c");
            }
            Server::Hyper | Server::Axum => {
                command.arg(port);
            }
        }
        Ok(command)
    }

    fn stead_configuration(self, scene: &Scene) -> Result<PathBuf> {
        let access = scene.access_log.as_deref().map_or_else(
            || "access = \"off\"".to_owned(),
            |log| format!("access = {{ file = \"{}\" }}\nformat = \"json\"", log.display()),
        );
        let middleware = match (self, scene.extra) {
            (Server::Stead, Extra::Compress) => "middleware = [\"compress\"]",
            (Server::Stead, Extra::IdleMiddleware) => IDLE_MIDDLEWARE,
            (Server::Stead, Extra::RateLimit) => RATE_LIMIT,
            (Server::Stead, Extra::Crowd) => "timeouts = { idle = \"off\" }",
            _ => "",
        };
        let process = match scene.extra {
            Extra::Crowd => "private_descriptors = true",
            _ => "",
        };
        let tls = scene.stead_tls();
        let listen = if tls.is_empty() { "" } else { ", tls = [\"main\"]" };
        let words = [
            ("@ACCESS_LOG@", access.as_str()),
            ("@MIDDLEWARE@", middleware),
            ("@PROCESS@", process),
            ("@LISTEN@", listen),
            ("@TLS@", &tls),
        ];
        scene.fill("stead.toml", &words)
    }

    fn nginx_configuration(self, scene: &Scene) -> Result<PathBuf> {
        let access = scene.access_log.as_deref().map_or_else(
            || "access_log off;".to_owned(),
            |log| format!("access_log {} json buffer=64k flush=1s;", log.display()),
        );
        let aio = if self == Server::NginxAio { "aio threads;" } else { "" };
        let (module, extra) = match scene.extra {
            Extra::Compress => (NGINX_BROTLI, NGINX_COMPRESS),
            Extra::RateLimit => ("", NGINX_RATE_LIMIT),
            _ => ("", ""),
        };
        let words = [
            ("@ACCESS_LOG@", access.as_str()),
            ("@AIO@", aio),
            ("@MODULE@", module),
            ("@EXTRA@", extra),
            ("@LISTEN@", scene.extra.nginx_listen()),
            ("@TLS@", &scene.nginx_tls()),
        ];
        scene.fill("nginx.conf", &words)
    }

    fn version(self, binaries: &Binaries) -> Result<String> {
        let arguments: &[&str] = match self {
            Server::Nginx | Server::NginxAio | Server::Haproxy => &["-v"],
            Server::Caddy | Server::Go => &["version"],
            Server::Stead | Server::SteadPlain => &["--version"],
            Server::Hyper | Server::Axum => return locked_version(self.name()),
        };
        let program = if self == Server::Go { on_path("go") } else { self.program(binaries) };
        let output = Command::new(&program).args(arguments).output()?;
        // nginx tells its version on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

impl Extra {
    pub fn is_secure(self) -> bool {
        matches!(self, Extra::Tls | Extra::TlsHttp2)
    }

    fn nginx_listen(self) -> &'static str {
        match self {
            Extra::Tls => "ssl",
            Extra::TlsHttp2 => "ssl http2",
            Extra::ClearHttp2 => "http2",
            Extra::Crowd => "reuseport",
            _ => "",
        }
    }
}

impl Scene {
    fn stead_tls(&self) -> String {
        if !self.extra.is_secure() {
            return String::new();
        }
        let Certificate { chain, key, .. } = &self.certificate;
        format!("[tls.main]\ncertificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display())
    }

    fn nginx_tls(&self) -> String {
        if !self.extra.is_secure() {
            return String::new();
        }
        let Certificate { chain, key, .. } = &self.certificate;
        format!(
            "ssl_certificate {};\n        ssl_certificate_key {};\n        {NGINX_TLS}",
            chain.display(),
            key.display()
        )
    }

    /// Fills in a configuration of `bench/peers/` and writes it into the scene's folder.
    fn fill(&self, name: &str, words: &[(&str, &str)]) -> Result<PathBuf> {
        let mut text = procfs::read(Path::new(PEERS).join(name))?;
        let port = self.address.port().to_string();
        let descriptors = self.descriptors.to_string();
        let connections = (self.descriptors - DESCRIPTORS_SPARE).to_string();
        let workers = self.workers.to_string();
        let kilobyte = kilobyte();
        let places = [
            ("@PORT@", port.as_str()),
            ("@ROOT@", self.root.to_str().context("the folder's name is not UTF-8")?),
            ("@WORK@", self.work.to_str().context("the folder's name is not UTF-8")?),
            ("@DESCRIPTORS@", &descriptors),
            ("@CONNECTIONS@", &connections),
            ("@WORKERS@", &workers),
            ("@KILOBYTE@", &kilobyte),
        ];
        for (word, value) in places.iter().chain(words) {
            text = text.replace(word, value);
        }
        let path = self.work.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// A server that answers; ended when dropped.
pub struct Running {
    child: Child,
    name: &'static str,
    output: PathBuf,
}

impl Running {
    /// Starts the server and waits until it accepts connections.
    pub fn start(server: Server, scene: &Scene) -> Result<Running> {
        let output = scene.work.join("output.txt");
        let file = File::create(&output)?;
        let child = server
            .command(scene)?
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("run setpriv and taskset (Debian package util-linux)")?;
        let mut running = Running { child, name: server.name(), output };
        running.wait_until_open(scene.address)?;
        Ok(running)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the server end by itself and write its logs; kills it after [`END_WAIT`].
    pub fn end(&mut self) {
        let members = procfs::family(self.pid()).unwrap_or_default();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        signal(self.pid(), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < END_WAIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        eprintln!("{} did not end within {END_WAIT:?} and is killed", self.name);
        // Members are children of a process that we have not reaped, so their ids are still theirs.
        for pid in members.into_iter().rev() {
            signal(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    fn wait_until_open(&mut self, address: SocketAddr) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < OPEN_WAIT {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}): {}", self.name, self.output_text());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("{} accepts nothing after {OPEN_WAIT:?}: {}", self.name, self.output_text())
    }

    /// What the server wrote on stdout and stderr.
    pub fn output_text(&self) -> String {
        procfs::read(&self.output).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        // The process may have ended in this moment.
        let _ = kill_process(pid, signal);
    }
}

/// Removes the folders of benches that were killed: their process is gone.
fn remove_left_behind(below: &Path) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("work-")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A port that was free a moment ago. Servers bind it right away; a loser fails its start.
fn free_address() -> Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(probe.local_addr()?)
}

fn on_path(program: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps nginx and haproxy in /usr/sbin, which a user's PATH may lack.
    let found = std::env::split_paths(&places)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new("/usr/sbin").join(program))
}

/// Version of a crate that a peer is built from, read from the workspace's lock file.
pub fn locked_version(package: &str) -> Result<String> {
    let lock = procfs::read(Path::new(PEERS).join("../../Cargo.lock"))?;
    let entry = format!("name = \"{package}\"\nversion = \"");
    // Of several versions the newest stands last, and that is ours.
    let (_, rest) = lock.rsplit_once(&entry).context("not in Cargo.lock")?;
    Ok(format!("{package} {}", rest.split('"').next().unwrap_or_default()))
}

/// Versions of the libraries that speak TLS and HTTP/2 in the servers and in the generators.
pub fn library_versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for package in ["rustls", "aws-lc-rs", "h2"] {
        let version =
            locked_version(package).unwrap_or_else(|error| format!("unknown ({error:#})"));
        versions.insert(package.to_owned(), version);
    }
    let mut keep = |name: &str, program: &str, argument: &str, mark: &str| {
        let output = Command::new(on_path(program)).arg(argument).output();
        let text = output.map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| line.contains(mark)) {
            versions.insert(name.to_owned(), line.trim().to_owned());
        }
    };
    keep("openssl of nginx", "nginx", "-V", "OpenSSL");
    keep("h2load", "h2load", "--version", "nghttp2");
    keep("wrk", "wrk", "--version", "wrk");
    versions
}

/// A thousand bytes, which every server that has no files answers too.
pub fn kilobyte() -> String {
    "x".repeat(1_000)
}

/// Five middleware that look at every request, and that one for `/` gives nothing to do.
const IDLE_MIDDLEWARE: &str = r#"middleware = [
    "hsts",
    { www = "remove" },
    { trailing_slash = "remove" },
    { strip_prefix = "/api" },
    { cors = { origins = ["https://app.example"] } },
]"#;
const RATE_LIMIT: &str = r#"middleware = [
    { rate_limit = { rate = "1/d", key = { header = "X-Client" }, clients = 1_100_000 } },
]"#;
/// nginx counts down to a minute at the slowest; its table is laid out at the start.
const NGINX_RATE_LIMIT: &str = "limit_req_zone $http_x_client zone=clients:256m rate=1r/m; \
                                limit_req zone=clients; limit_req_log_level info;";
/// The module that Debian packages as libnginx-mod-http-brotli-filter.
const NGINX_BROTLI: &str = "load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;";
/// Both codings of nginx, at the level of Stead's defaults.
const NGINX_COMPRESS: &str =
    "gzip on; gzip_comp_level 5; gzip_types *; brotli on; brotli_comp_level 5; brotli_types *;";

/// A shared cache is nginx's advice; TLS 1.3 resumes by tickets, which are on by default.
const NGINX_TLS: &str = "ssl_protocols TLSv1.3; ssl_session_cache shared:TLS:10m;";

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
const OPEN_WAIT: Duration = Duration::from_secs(10);
const END_WAIT: Duration = Duration::from_secs(8);
/// Descriptors a server needs beside its connections.
const DESCRIPTORS_SPARE: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_filled_completely() {
        let place = Place::create(&std::env::temp_dir(), 1000, PathBuf::from("/none")).unwrap();
        for server in Server::value_variants() {
            let scene = Scene::new(&place, *server, true).unwrap();
            server.command(&scene).unwrap();
            for file in fs::read_dir(&scene.work).unwrap().flatten() {
                let text = procfs::read(file.path()).unwrap();
                let words = text.replace("@WORDS@", "");
                let left = words.split('@').skip(1).step_by(2).find(|word| {
                    !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                });
                assert_eq!(left, None, "{}", file.path().display());
            }
        }
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let place = Place::create(
            &std::env::temp_dir().join("ends-at-once"),
            1000,
            PathBuf::from("/bin/false"),
        )
        .unwrap();
        let scene = Scene::new(&place, Server::Stead, false).unwrap();
        let error = Running::start(Server::Stead, &scene).err().unwrap().to_string();
        assert!(error.starts_with("stead ended at once"), "{error}");
    }
}
