//! Services on a runtime of the program's own.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures_util::StreamExt;
use stead::{App, IntoApp};
use tokio::runtime::{Builder, Handle};

use crate::{eventually, serve};

fn name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn calls_and_bodies_run_there() {
    let theirs = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("theirs")
        .enable_all()
        .build()
        .expect("a runtime");
    let body = || async {
        let names = futures_util::stream::iter(0..3).then(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, std::io::Error>(name() + " ")
        });
        Body::from_stream(names)
    };
    let (sender, dropped) = std::sync::mpsc::channel::<()>();
    let router = Router::new()
        .route("/name", get(|| async { name() }))
        .route("/body", get(body))
        .route("/echo", post(|body: Body| async { body }))
        .route("/panic", get(|| async { panic!("on purpose") as &str }))
        .route(
            "/wait",
            get(move || async move {
                let _sender = sender;
                std::future::pending::<&str>().await
            }),
        );
    let here = serve(router.clone()).await;
    let there = serve(App::on_runtime(router, theirs.handle().clone())).await;
    assert!(here.connect().get("/name").text().starts_with("worker-"));
    let mut client = there.connect();
    assert_eq!(client.get("/name").text(), "theirs");
    assert_eq!(client.get("/body").text(), "theirs theirs theirs ");
    let large = vec![b'x'; 1_000_000];
    assert_eq!(client.request("POST", "/echo", "", &large).body.len(), large.len());
    assert_eq!(there.connect().get("/panic").status, 500);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    drop(client);
    drop((here, there));
    let gone = || dropped.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected);
    assert!(eventually(gone), "a peer that leaves ends the call there too");
    theirs.shutdown_background();
}

/// A worker had four blocking threads in all: the fifth service to wait on one kept the others, and
/// files and passwords, waiting with it.
#[tokio::test]
async fn blocking_work_of_services_has_threads_of_its_own() {
    const TOGETHER: usize = 12;
    let barrier = Arc::new(Barrier::new(TOGETHER));
    let handler = move || {
        let barrier = Arc::clone(&barrier);
        async move {
            let waiting = tokio::task::spawn_blocking(move || barrier.wait());
            waiting.await.map(|_| "together").expect("no panic")
        }
    };
    let serving = serve(Router::new().route("/", get(handler))).await;
    let mut clients: Vec<_> = (0..TOGETHER).map(|_| serving.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().text(), "together");
    }
}

/// What a handler spawns ends with the runtime that runs it: the worker's, unless it is told
/// another. So says the guide.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_a_handler_ends_with_its_runtime() {
    let (done, finished) = std::sync::mpsc::channel();
    let ours = Handle::current();
    let spawning = |on: Option<Handle>| {
        let done = done.clone();
        let handler = move || async move {
            let task = async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                done.send(()).expect("the test waits");
            };
            drop(match on {
                Some(runtime) => runtime.spawn(task),
                None => tokio::spawn(task),
            });
        };
        Router::new().route("/", get(handler))
    };
    for (app, outlives) in [
        (spawning(None).into_app(), false),
        (spawning(Some(ours.clone())).into_app(), true),
        (App::on_runtime(spawning(None), ours.clone()), true),
    ] {
        let serving = serve(app).await;
        assert_eq!(serving.connect().get("/").status, 200);
        serving.running.shutdown().await;
        let waited = finished.recv_timeout(Duration::from_secs(1));
        assert_eq!(waited.is_ok(), outlives);
    }
}
