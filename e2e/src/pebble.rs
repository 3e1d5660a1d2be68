//! The ACME authority of Let's Encrypt for tests, as Debian ships it.
//!
//! Each has ports, roots and a name server of its own. It rejects good nonces and forgets proofs at
//! random, as it does by default; it looks at proofs on the ports that it is given.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::dns::Dns;
use crate::folder::Folder;
use crate::ports;
use crate::process::{Running, run};
use crate::wait::{SOON, until};

/// A pebble that runs.
pub struct Pebble {
    /// The process.
    pub running: Running,
    folder: Folder,
    port: u16,
    management_port: u16,
    http_port: u16,
    tls_port: u16,
    _dns: Dns,
}

/// How a pebble behaves.
pub struct PebbleOptions {
    /// How long its certificates are valid, in seconds.
    pub validity_s: u64,
    /// How many of a hundred good nonces it rejects.
    pub nonces_rejected: u8,
    /// Of a hundred hosts that were proved lately, how many need no new proof.
    pub proofs_reused: u8,
    /// Whether it takes its time before it looks at a proof, some seconds.
    pub is_slow: bool,
    /// The accounts elsewhere that it asks for: names with keys in base64url.
    pub bindings: &'static [(&'static str, &'static str)],
}

impl Default for PebbleOptions {
    fn default() -> Self {
        Self {
            validity_s: 90 * 24 * 60 * 60,
            nonces_rejected: 15,
            proofs_reused: 50,
            is_slow: false,
            bindings: &[],
        }
    }
}

impl Pebble {
    /// Starts one that looks at proofs on two ports that are free.
    pub fn start(options: &PebbleOptions) -> Self {
        let folder = Folder::new();
        let [port, management_port, http_port, tls_port] =
            [(); 4].map(|()| ports::free().expect("a port"));
        write_identity(&folder);
        let keys: serde_json::Map<_, _> =
            options.bindings.iter().map(|(name, key)| ((*name).to_owned(), json!(key))).collect();
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": folder.path().join("pebble.pem"),
            "privateKey": folder.path().join("pebble.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !options.bindings.is_empty(),
            "externalAccountMACKeys": keys,
            "certificateValidityPeriod": options.validity_s,
        }});
        let config = folder.write("pebble.json", config.to_string());
        let dns = Dns::start();
        let mut command = Command::new("pebble");
        command.arg("-config").arg(config).arg("-dnsserver").arg(dns.address().to_string());
        let (name, value) =
            if options.is_slow { ("PEBBLE_VA_SLEEPTIME", "6") } else { ("PEBBLE_VA_NOSLEEP", "1") };
        command
            .env(name, value)
            .env("PEBBLE_WFE_NONCEREJECT", options.nonces_rejected.to_string())
            .env("PEBBLE_AUTHZREUSE", options.proofs_reused.to_string());
        let running = Running::spawn(&mut command);
        let this = Self { running, folder, port, management_port, http_port, tls_port, _dns: dns };
        let is_open = |port: u16| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_| ());
        let opened = until(SOON, || is_open(port).and(is_open(management_port)));
        assert!(opened.is_some(), "pebble: {}{}", this.running.stdout(), this.running.stderr());
        this
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The root that signed its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Where it looks for proofs over plaintext.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Where it looks for proofs over TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The root of what it issues.
    pub fn root(&self) -> PathBuf {
        let path = self.folder.path().join("root.pem");
        let url = format!("https://localhost:{}/roots/0", self.management_port);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(self.ca());
        let outcome = run(curl.arg("--output").arg(&path).arg(&url));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        path
    }

    /// How many certificates it issued.
    pub fn issued(&self) -> usize {
        self.running.stdout().matches("Issued certificate serial").count()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A root, and a certificate of it for the directory.
fn write_identity(folder: &Folder) {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "root of a test");
    folder.write("ca.pem", root.self_signed(&root_key).expect("signs").pem());
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    folder.write("pebble.pem", leaf.signed_by(&key, &issuer).expect("signs").pem());
    folder.write("pebble.key", key.serialize_pem());
}
