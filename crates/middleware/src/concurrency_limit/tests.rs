//! Places are taken, waited for in order, and given back whatever happens.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use stead_config::Settings;
use stead_core::{
    Blocking, BuildContext, Connection, Counters, Exchange, Flow, Job, LocalKeys, Middleware, Peer,
    Process, Scheme, Worker, name,
};
use stead_route::CaptureNames;

use super::{KIND, Lanes};
use crate::testing::{around, refusal, text};

struct NoPool;

impl Blocking for NoPool {
    fn run(&self, _: Job) {}
}

fn build(settings: &str) -> Box<dyn Middleware> {
    let settings = Settings::parse(settings).expect("TOML");
    let captures = CaptureNames { names: Vec::new(), wildcard: None };
    let (process, keys) = (Arc::new(Process::default()), LocalKeys::default());
    (KIND.build)(&settings, &BuildContext::new(&captures, &process, &keys)).expect("settings")
}

fn exchange(ip: &str) -> Exchange {
    let counters = Arc::new(Counters::default());
    let worker = Rc::new(Worker::new(0, Arc::new(Process::default()), counters, Box::new(NoPool)));
    let ip: std::net::IpAddr = ip.parse().expect(ip);
    let peer = Peer::Tcp((ip, 1).into());
    Exchange::new(
        worker,
        Connection { peer, scheme: Scheme::Http, tls: None, server: Rc::from("web") },
    )
}

/// The status of the answer; 0 where it goes on.
async fn enter(limit: &dyn Middleware, exchange: &mut Exchange) -> u16 {
    let answer = match limit.request(exchange) {
        Flow::Continue => None,
        Flow::Respond(answer) => Some(answer),
        Flow::Wait(future) => future.await.expect("no error"),
    };
    if let Some(answer) = &answer {
        assert_eq!(answer.reason.code(), "concurrency_limited");
        assert_eq!(answer.fields.get(name::RETRY_AFTER), Some(&b"1"[..]));
    }
    answer.map_or(0, |answer| answer.status.as_u16())
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), future);
}

#[test]
fn more_than_the_limit_are_refused_and_an_ended_one_makes_room() {
    run(async {
        let limit = build("concurrency_limit = 2");
        let mut exchanges = ["::1"; 3].map(exchange);
        let [first, second, third] = &mut exchanges;
        assert_eq!(enter(&*limit, first).await, 0);
        assert_eq!(enter(&*limit, second).await, 0);
        assert_eq!(enter(&*limit, third).await, 503);
        // The next request of the same connection begins: what the last one held is free.
        first.begin();
        assert_eq!(enter(&*limit, third).await, 0);
        drop(exchanges);
        let mut next = exchange("::1");
        assert_eq!(enter(&*limit, &mut next).await, 0);
    });
}

#[test]
fn those_that_wait_come_in_order_and_only_so_many_wait() {
    run(async {
        let limit: Rc<dyn Middleware> =
            build("concurrency_limit = { requests = 1, queue = 2, wait = '10s' }").into();
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut first = exchange("::1");
        assert_eq!(enter(&*limit, &mut first).await, 0);
        let wait = |number: u32| {
            let (limit, order) = (Rc::clone(&limit), Rc::clone(&order));
            tokio::task::spawn_local(async move {
                let mut exchange = exchange("::1");
                let status = enter(&*limit, &mut exchange).await;
                order.borrow_mut().push((number, status));
            })
        };
        let mut waiting = Vec::new();
        for number in 0..4 {
            waiting.push(wait(number));
            tokio::task::yield_now().await;
        }
        assert_eq!(*order.borrow(), [(2, 503), (3, 503)]);
        drop(first);
        for task in waiting {
            task.await.expect("an end");
        }
        assert_eq!(*order.borrow(), [(2, 503), (3, 503), (0, 0), (1, 0)]);
    });
}

#[test]
fn a_wait_ends_and_one_that_is_given_up_leaves_the_queue() {
    run(async {
        let limit = build("concurrency_limit = { requests = 1, queue = 1, wait = '20ms' }");
        let (mut first, mut second) = (exchange("::1"), exchange("::1"));
        assert_eq!(enter(&*limit, &mut first).await, 0);
        for _ in 0..3 {
            assert_eq!(enter(&*limit, &mut second).await, 503);
            let given_up = enter(&*limit, &mut second);
            assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
        }
        drop(first);
        assert_eq!(enter(&*limit, &mut second).await, 0);
    });
}

#[test]
fn keys_count_by_themselves_and_are_forgotten() {
    run(async {
        let limit = build(
            "concurrency_limit = { requests = 1, queue = 1, wait = '5ms', key = '{client_ip}' }",
        );
        let mut all: Vec<Exchange> = (0..200).map(|n| exchange(&format!("192.0.2.{n}"))).collect();
        for exchange in &mut all {
            assert_eq!(enter(&*limit, exchange).await, 0);
        }
        let mut again = exchange("192.0.2.7");
        assert_eq!(enter(&*limit, &mut again).await, 503);
        all.clear();
        assert_eq!(enter(&*limit, &mut again).await, 0);
    });
}

#[test]
fn no_key_stays_behind() {
    run(async {
        let shards: Arc<[super::Shard]> = (0..1).map(|_| super::Shard::default()).collect();
        let key: super::KeyConfig =
            Settings::parse("key = 'all'").expect("TOML").decode().expect("a key");
        let captures = CaptureNames { names: Vec::new(), wildcard: None };
        let (process, keys) = (Arc::new(Process::default()), LocalKeys::default());
        let key = key.compile(&BuildContext::new(&captures, &process, &keys)).expect("a key");
        let secrets = super::Secrets::new();
        let lanes = Lanes::ByKey { key, secrets, shards: Arc::clone(&shards) };
        let wait = Duration::from_millis(5);
        let limit = super::ConcurrencyLimit { requests: 1, queue: 1, wait, lanes };
        let count = || shards[0].lock().unwrap().len();
        let (mut first, mut second) = (exchange("::1"), exchange("::2"));
        assert_eq!(enter(&limit, &mut first).await, 0);
        assert_eq!(enter(&limit, &mut second).await, 503);
        assert_eq!(count(), 1);
        drop(first);
        assert_eq!(count(), 0);
    });
}

#[test]
fn threads_never_hold_more_than_the_limit() {
    let limit: Arc<dyn Middleware> =
        build("concurrency_limit = { requests = 3, queue = 100 }").into();
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let (limit, held, most) = (Arc::clone(&limit), Arc::clone(&held), Arc::clone(&most));
            scope.spawn(move || {
                use std::sync::atomic::Ordering::SeqCst;
                run(async {
                    for _ in 0..200 {
                        let mut exchange = exchange("::1");
                        assert_eq!(enter(&*limit, &mut exchange).await, 0);
                        most.fetch_max(held.fetch_add(1, SeqCst) + 1, SeqCst);
                        tokio::task::yield_now().await;
                        held.fetch_sub(1, SeqCst);
                    }
                });
            });
        }
    });
    let most = most.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most}");
}

#[test]
fn a_panic_gives_the_place_back() {
    let turn = Cell::new(0);
    let limit = build("concurrency_limit = 1");
    for _ in 0..3 {
        turn.set(turn.get() + 1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(async {
                let mut exchange = exchange("::1");
                assert_eq!(enter(&*limit, &mut exchange).await, 0, "turn {}", turn.get());
                panic!("as a handler might");
            });
        }));
        assert!(panicked.is_err());
    }
}

#[test]
fn nothing_waits_where_there_is_room_and_wrong_settings_are_told() {
    let bench = around(&["concurrency_limit = 1"], text("in"));
    assert_eq!((bench.page("/").status, bench.page("/").status), (200, 200));
    assert_eq!(bench.waits().0, 0);
    assert_eq!(refusal("concurrency_limit = 0").len(), 1);
    assert_eq!(refusal("concurrency_limit = { requests = 1, wait = '0s' }").len(), 1);
    assert_eq!(refusal("concurrency_limit = { requests = 1, key = '{nothing}' }").len(), 1);
}
