//! Listeners as their connections know them: whose they are, and how a connection begins.

use std::os::fd::OwnedFd;

use stead_core::Origins;
use stead_tls::Chooser;

/// One address of one server, for every worker.
pub struct Listener {
    /// The server's position in the snapshot.
    pub server: u16,
    /// A descriptor for each worker.
    pub descriptors: Vec<OwnedFd>,
    /// Whether whoever passed the socket on holds it too: what waits in its queue when the drain
    /// begins is left to the next process that is given it.
    pub inherited: bool,
    /// How its connections begin.
    pub opening: Opening,
}

/// What comes before the first request of a connection, and in which protocol it may be.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The proxies from which connections are taken, each with a PROXY header; nobody: connections
    /// are anybody's, and none has a header.
    pub proxy_protocol: Origins,
    /// The certificates, where it speaks TLS.
    pub tls: Option<Chooser>,
    /// Whether HTTP/2 is spoken to those who choose it, or begin with its preface.
    pub http2: bool,
}

impl Default for Opening {
    fn default() -> Self {
        Self { proxy_protocol: Origins::default(), tls: None, http2: true }
    }
}

/// What workers know of a listener.
#[derive(Debug)]
pub(crate) struct ListenerFacts {
    pub(crate) server: u16,
    pub(crate) inherited: bool,
    pub(crate) opening: Opening,
}
