//! One service on a free port of loopback, ended when dropped.

use std::net::SocketAddr;

use stead::{IntoApp, Running, Server, Stead};

use crate::Client;

/// A service under test.
pub(crate) struct Serving {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Serving {
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

/// Serves on two workers.
pub(crate) async fn serve<M>(service: impl IntoApp<M>) -> Serving {
    serving(Server::new("web").service(service)).await
}

/// Runs a server on two workers.
pub(crate) async fn serving(server: Server) -> Serving {
    let server = server.listen("127.0.0.1:0");
    let running = Stead::new().workers(2).server(server).start().await.expect("it starts");
    let address = running.addresses("web")[0];
    Serving { running, address }
}
