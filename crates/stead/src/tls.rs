//! Certificates of servers made in code.

use std::path::PathBuf;
use std::sync::Arc;

use stead_core::Shared;
use stead_tls::{Chooser, Clients, Entry, EntryOptions, PemSource, Version};

/// A certificate with its key, for [`Server::tls`](crate::Server::tls).
///
/// ```
/// use stead::{Server, Tls};
///
/// let server = Server::new("web").listen(":443").tls(Tls::files("main.pem", "main.key"));
/// ```
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: PemSource,
    key: PemSource,
    clients: Option<Clients>,
    versions: Vec<Version>,
}

impl Tls {
    /// Files of PEM: the chain with the server's own certificate first, and its key. They are read
    /// at the start, and again when they change.
    ///
    /// ```
    /// # use stead::Tls;
    /// let tls = Tls::files("/etc/ssl/shop/fullchain.pem", "/etc/ssl/shop/privkey.pem");
    /// ```
    pub fn files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::of(PemSource::File(certificate.into()), PemSource::File(key.into()))
    }

    /// The same as bytes.
    ///
    /// ```no_run
    /// # use stead::Tls;
    /// let (certificate, key) = (std::fs::read("main.pem")?, std::fs::read("main.key")?);
    /// let tls = Tls::pem(certificate, key);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self::of(
            PemSource::Bytes(certificate.as_ref().into()),
            PemSource::Bytes(key.as_ref().into()),
        )
    }

    fn of(certificate: PemSource, key: PemSource) -> Self {
        let versions = vec![Version::Tls12, Version::Tls13];
        Self { certificate, key, clients: None, versions }
    }

    /// Serves only clients that show a certificate which one of these signed: a file of PEM.
    ///
    /// ```
    /// # use stead::Tls;
    /// let tls = Tls::files("main.pem", "main.key").clients("clients-ca.pem");
    /// ```
    pub fn clients(mut self, ca: impl Into<PathBuf>) -> Self {
        self.clients = Some(Clients { ca: PemSource::File(ca.into()), required: true });
        self
    }

    /// Speaks TLS 1.3 alone.
    ///
    /// ```
    /// # use stead::Tls;
    /// let tls = Tls::files("main.pem", "main.key").only_1_3();
    /// ```
    pub fn only_1_3(mut self) -> Self {
        self.versions = vec![Version::Tls13];
        self
    }
}

impl<C: Into<PathBuf>, K: Into<PathBuf>> From<(C, K)> for Tls {
    fn from((certificate, key): (C, K)) -> Self {
        Self::files(certificate, key)
    }
}

/// What the listeners of a server show; nothing where there are no certificates. Entries are named
/// after the server.
///
/// # Errors
/// Everything that is wrong with the files.
pub(crate) fn chooser(
    server: &str,
    certificates: Vec<Tls>,
) -> Result<Option<Chooser>, Vec<String>> {
    // Nothing made in code is loaded twice, so that nobody else needs the ticket keys.
    let shared = Shared::default();
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (at, tls) in certificates.into_iter().enumerate() {
        let name = if at == 0 { server.to_owned() } else { format!("{server}-{}", at + 1) };
        let Tls { certificate, key, clients, versions } = tls;
        match Entry::load(EntryOptions { name, certificate, key, clients, versions }, &shared) {
            Ok(entry) => entries.push(Arc::new(entry)),
            Err(problems) => errors.extend(problems.iter().map(ToString::to_string)),
        }
    }
    if errors.is_empty() { Ok(Chooser::new(entries, true)) } else { Err(errors) }
}
