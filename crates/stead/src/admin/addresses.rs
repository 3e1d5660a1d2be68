//! `GET /addresses`: who holds the most connections. Every worker counts its own, in turns between
//! its other work.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use stead_base::Reason;
use stead_core::{Exchange, Handler, Reply};
use stead_serve::{Census, Errand};
use tokio::sync::oneshot;

use super::answer;
use crate::status::Board;

/// Addresses that are told.
const BUSIEST: usize = 20;

pub(super) struct AddressesHandler(pub(super) Arc<OnceLock<Board>>);

impl Handler for AddressesHandler {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        let Some(board) = self.0.get() else {
            return Reply::Ready(exchange.refuse(Reason::NotReady));
        };
        Reply::wait(async {
            let mut census = Census::default();
            // All count at the same time; one that is gone has no connections.
            let counting: Vec<_> = (0..board.messenger.workers()).map(|n| ask(board, n)).collect();
            for of_worker in counting {
                census.add(of_worker.await.unwrap_or_default());
            }
            Ok(answer(exchange, &told(board, &census)))
        })
    }
}

fn ask(board: &Board, worker: usize) -> oneshot::Receiver<Census> {
    let (sender, receiver) = oneshot::channel();
    let errand: Errand = Box::new(|guest| {
        let guest = Rc::new(guest);
        let counting = Rc::clone(&guest);
        guest.spawn(async move {
            // Whoever asked may be gone.
            let _ = sender.send(counting.census().await);
        });
    });
    // One that cannot do it drops the sender.
    let _ = board.messenger.send(worker, errand);
    receiver
}

fn told(board: &Board, census: &Census) -> Value {
    let busiest = census.busiest(BUSIEST).into_iter().map(|(server, ip, connections)| {
        let server = board.snapshot.servers.get(usize::from(server));
        json!({
            "server": server.map_or("", |server| &server.name),
            "address": shown(ip),
            "connections": connections,
        })
    });
    json!({ "is_exact": census.is_exact(), "addresses": busiest.collect::<Vec<_>>() })
}

fn shown(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("{ip}/64") } else { ip.to_string() }
}
