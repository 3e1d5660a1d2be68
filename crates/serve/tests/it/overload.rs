//! Short of places for connections or of memory: SECURITY.md 36, 37.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::{Exchange, Handler, Level, Process};
use stead_net::{Bind, acquire};

use crate::client::Client;
use crate::handlers::{Fixed, Make, text, wait};
use crate::harness::{Harness, Kitchen, Recipe, eventually};
use crate::http2::{
    End, HEADERS, Http2, INITIAL_WINDOW_SIZE, NO_ERROR, RST_STREAM, answer, get, setting,
    window_update,
};

const PLACES: usize = 50;
/// Connections that may stay: one more is nine tenths.
const CALM: usize = 44;

/// Keeps requests for `/wait` until it opens.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn waiting(&self) -> impl Handler + 'static {
        let gate = self.clone();
        wait(move |exchange| {
            let gate = gate.clone();
            Box::pin(async move {
                while !gate.0.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok(text(exchange, b"waited"))
            })
        })
    }

    fn recipe(&self) -> Recipe {
        Recipe::default()
            .timeouts(|timeouts| timeouts.idle = None)
            .route("/", Fixed("hello"))
            .route("/wait", self.waiting())
            .route(
                "/block",
                Make(|exchange: &mut Exchange| {
                    std::thread::sleep(Duration::from_millis(100));
                    text(exchange, b"blocked")
                }),
            )
            .health("/healthz", Fixed("well"))
            .health("/healthz/wait", self.waiting())
    }
}

fn places_for(places: usize) -> Arc<Process> {
    let process = Arc::new(Process::default());
    process.connections.set_limit(places);
    process
}

fn start(process: &Arc<Process>, recipes: Vec<Recipe>) -> Harness {
    Kitchen { process: Arc::clone(process), ..Kitchen::default() }.start(recipes)
}

/// A connection whose request is under way.
fn begin(harness: &Harness) -> Client {
    let mut client = harness.connect();
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

fn expect_level(process: &Process, level: Level) {
    assert!(eventually(|| process.level() == level), "{:?}, not {level:?}", process.level());
}

/// As many as rest now, in the order in which they began to.
fn rest(harness: &Harness, count: usize) -> Vec<Client> {
    let rests = || {
        let mut client = harness.connect();
        assert_eq!(client.get("/").text(), "hello");
        client
    };
    (0..count).map(|_| rests()).collect()
}

#[test]
fn security_36_a_storm_takes_the_places_of_the_longest_idle_first() {
    let (process, gate) = (places_for(PLACES), Gate::default());
    let harness = start(&process, vec![gate.recipe()]);
    // One that is busy, with its second request.
    let mut active = established(&harness, 1, 0).remove(0);
    let mut idle = rest(&harness, CALM - 1);
    harness.expect_parked(CALM as u64 - 1);
    assert_eq!(harness.outcomes(Reason::IdlePressure), 0);
    // For each that comes, the one that rests longest goes.
    let storm: Vec<_> = (0..10).map(|_| begin(&harness)).collect();
    for mut gone in idle.drain(..10) {
        gone.expect_closed();
    }
    harness.expect_outcomes(Reason::IdlePressure, 10);
    // Those that rest for less time, and who is active, notice nothing.
    assert_eq!(harness.outcomes(Reason::DescriptorsExhausted), 0);
    gate.open();
    for client in [&mut active].into_iter().chain(&mut idle) {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_eq!(active.answer().text(), "waited");
    for client in [&mut active].into_iter().chain(&mut idle) {
        assert_eq!(client.answer().text(), "hello");
    }
    // All of it was served.
    for mut client in storm {
        assert_eq!(client.answer().text(), "waited");
    }
    assert_eq!(harness.outcomes(Reason::Overloaded), 0);
}

/// Connections that have been served before and are again, so that nothing rests, beside so many
/// other requests.
fn established(harness: &Harness, count: usize, others: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| harness.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert!(eventually(
        || harness.count(|counters| &counters.requests_active) == (count + others) as u64
    ));
    clients
}

#[test]
fn security_36_where_nothing_rests_first_requests_get_503_and_others_go_on() {
    let (process, gate) = (places_for(PLACES), Gate::default());
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("private.sock");
    let acquired = acquire(&Bind::Unix(path.clone()), 1).expect("the path is free");
    let private = Recipe::default().route("/", Fixed("status")).private().on(acquired.descriptors);
    let harness = start(&process, vec![gate.recipe(), private]);
    let mut honest = established(&harness, CALM, 0);
    for _ in 0..3 {
        let mut refused = harness.connect();
        let answer = refused.get("/");
        assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")));
        assert_eq!(answer.field("Connection"), Some("close"));
        refused.expect_closed();
    }
    harness.expect_outcomes(Reason::Overloaded, 3);
    // Whoever asks how the server is learns it.
    assert_eq!(harness.connect().get("/healthz").text(), "well");
    harness.expect_open(CALM as u64);
    let mut rest = Vec::new();
    for held in CALM..PLACES {
        let mut client = harness.connect();
        client.send("GET /healthz/wait HTTP/1.1\r\nHost: a\r\n\r\n");
        // Before it was heard it could give its place to the next.
        assert!(eventually(|| harness.count(|c| &c.requests_active) == held as u64 + 1));
        rest.push(client);
    }
    expect_level(&process, Level::Overloaded);
    // Nobody can be told to go.
    let mut beyond = harness.connect();
    let answer = beyond.answer();
    assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")));
    harness.expect_outcomes(Reason::DescriptorsExhausted, 1);
    // The private server has what it needs.
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("write");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an answer");
    assert!(told.ends_with("status"), "{told}");
    // Who was there goes on, on the same connections; one that comes to rest would make room.
    for client in &mut honest {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    gate.open();
    for client in honest.iter_mut().chain(&mut rest) {
        assert_eq!(client.answer().text(), "waited");
    }
    for client in &mut honest {
        assert_eq!(client.answer().text(), "hello");
    }
    drop((honest, rest));
    expect_level(&process, Level::Calm);
    assert_eq!(harness.connect().get("/").text(), "hello");
    assert_eq!(harness.outcomes(Reason::Overloaded), 3);
}

#[test]
fn security_36_memory_closes_those_who_rest_and_lets_the_others_be() {
    let (process, gate) = (Arc::new(Process::default()), Gate::default());
    let harness = start(&process, vec![gate.recipe()]);
    let mut active = begin(&harness);
    let mut idle = rest(&harness, 5);
    harness.expect_parked(5);
    let note = |used: u64| {
        process.pressure.note_memory(used, 100);
        stead_serve::weigh(&process)
    };
    assert_eq!(note(80), Level::Tight);
    assert!(note(92) >= Level::Scarce);
    // One for each sample, and what that frees shows in the next.
    idle.remove(0).expect_closed();
    for _ in 0..4 {
        let before = harness.outcomes(Reason::IdlePressure);
        note(92);
        harness.expect_outcomes(Reason::IdlePressure, before + 1);
        idle.remove(0).expect_closed();
    }
    expect_level(&process, Level::Overloaded);
    assert_eq!(harness.connect().get("/").status, 503);
    note(10);
    expect_level(&process, Level::Calm);
    assert_eq!(harness.connect().get("/").text(), "hello");
    gate.open();
    assert_eq!(active.answer().text(), "waited");
}

#[test]
fn security_36_idle_timeouts_shrink_as_it_gets_tight() {
    let (process, gate) = (Arc::new(Process::default()), Gate::default());
    let recipe = gate.recipe().timeouts(|timeouts| {
        timeouts.first_byte = None;
        timeouts.idle = Some(Duration::from_secs(20));
    });
    let harness = start(&process, vec![recipe]);
    let mut idle = harness.connect();
    assert_eq!(idle.get("/").text(), "hello");
    let forever = harness.connect();
    harness.expect_parked(2);
    // Of 20 s about 2 are left.
    let closed = eventually(|| {
        process.pressure.note_memory(89, 100);
        assert_eq!(stead_serve::weigh(&process), Level::Tight);
        std::thread::sleep(Duration::from_millis(50));
        harness.outcomes(Reason::IdlePressure) == 1
    });
    assert!(closed);
    idle.expect_closed();
    assert_eq!(harness.outcomes(Reason::IdleTimeout), 0);
    // What may rest for ever still may.
    harness.expect_parked(1);
    drop(forever);
}

#[test]
fn security_36_workers_make_room_together() {
    let (process, gate) = (places_for(PLACES), Gate::default());
    let kitchen = Kitchen { workers: 3, process: Arc::clone(&process), ..Kitchen::default() };
    let harness = kitchen.start(vec![gate.recipe()]);
    let idle: Vec<_> = (0..CALM)
        .map(|_| {
            let mut client = harness.connect();
            assert_eq!(client.get("/").text(), "hello");
            client
        })
        .collect();
    harness.expect_parked(CALM as u64);
    // Whichever worker they came to, the others make room too.
    let mut storm = Vec::new();
    for _ in 0..CALM {
        storm.push(begin(&harness));
        // Two that look at the same moment may both make room.
        let open = || harness.count(|counters| &counters.connections_open);
        let is_room = || (CALM as u64 - 2..=CALM as u64).contains(&open());
        assert!(eventually(is_room), "{} open", open());
    }
    assert!(eventually(|| harness.outcomes(Reason::IdlePressure) >= CALM as u64 - 2));
    gate.open();
    for client in &mut storm {
        assert_eq!(client.answer().text(), "waited");
    }
    drop(idle);
}

#[test]
fn security_36_http2_without_a_stream_goes_first_and_busy_ones_stay() {
    let (process, gate) = (places_for(PLACES), Gate::default());
    let harness = start(&process, vec![gate.recipe()]);
    let mut idle = rest(&harness, CALM - 2);
    let mut busy = Http2::connect(harness.address);
    assert_eq!(busy.get(1, "/"), answer(200, "hello"));
    busy.send(get(3, "/wait"));
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 1));
    let mut resting = Http2::connect(harness.address);
    assert_eq!(resting.get(1, "/"), answer(200, "hello"));
    harness.expect_parked(CALM as u64 - 2);
    // It began to rest last, and is the first to go.
    let mut comes = begin(&harness);
    resting.expect_go_away(NO_ERROR);
    harness.expect_outcomes(Reason::IdlePressure, 1);
    harness.expect_open(CALM as u64);
    harness.expect_parked(CALM as u64 - 2);
    gate.open();
    assert_eq!(busy.end(3), answer(200, "waited"));
    assert_eq!(comes.answer().text(), "waited");
    assert_eq!(idle.remove(0).get("/").text(), "hello");
}

/// Idle time of HTTP/2 was waited for in steps, each of which was shortened by itself.
#[test]
fn security_36_idle_time_of_http2_shrinks_as_a_whole() {
    let (process, gate) = (Arc::new(Process::default()), Gate::default());
    let recipe = gate.recipe().timeouts(|timeouts| timeouts.idle = Some(Duration::from_secs(6)));
    let harness = start(&process, vec![recipe]);
    let mut idle = Http2::connect(harness.address);
    let began = Instant::now();
    assert_eq!(idle.get(1, "/"), answer(200, "hello"));
    // Of 6 s a little more than half is left.
    let closed = eventually(|| {
        process.pressure.note_memory(83, 100);
        assert_eq!(stead_serve::weigh(&process), Level::Tight);
        std::thread::sleep(Duration::from_millis(50));
        harness.outcomes(Reason::IdlePressure) == 1
    });
    let took = began.elapsed();
    assert!(closed && took > Duration::from_secs(3), "closed: {closed}, after {took:?}");
    idle.expect_go_away(NO_ERROR);
}

/// Those that hold memory and take nothing of it go before those that only rest.
#[test]
fn security_36_streams_that_stand_still_go_before_who_rests() {
    let process = Arc::new(Process::default());
    let large = Make(|exchange: &mut Exchange| text(exchange, &vec![b'x'; 100_000]));
    let harness = start(&process, vec![Gate::default().recipe().route("/large", large)]);
    let mut idle = rest(&harness, 3);
    let client = Client::connect(harness.address);
    let mut attacker = Http2::with(client, &setting(INITIAL_WINDOW_SIZE, 0));
    for n in 0..5 {
        attacker.send(get(2 * n + 1, "/large"));
        assert_eq!(attacker.frame_of(&[HEADERS]).map(|frame| frame.stream), Some(2 * n + 1));
    }
    std::thread::sleep(Duration::from_millis(2_200));
    assert_eq!(harness.outcomes(Reason::Http2Stalled), 0);
    process.pressure.note_memory(95, 100);
    stead_serve::weigh(&process);
    harness.expect_outcomes(Reason::Http2Stalled, 5);
    for n in 0..5 {
        assert_eq!(attacker.frame_of(&[RST_STREAM]).map(|frame| frame.stream), Some(2 * n + 1));
    }
    assert_eq!(harness.outcomes(Reason::IdlePressure), 0);
    // Where that did not help, the others follow.
    process.pressure.note_memory(95, 100);
    harness.expect_outcomes(Reason::IdlePressure, 1);
    process.pressure.note_memory(10, 100);
    expect_level(&process, Level::Calm);
    assert_eq!(idle.pop().expect("a client").get("/").text(), "hello");
}

/// What was begun and is no request gives way before those who rest after theirs.
#[test]
fn security_36_heads_that_are_not_whole_go_before_who_rests() {
    let process = Arc::new(Process::default());
    let harness = start(&process, vec![Gate::default().recipe()]);
    let mut idle = rest(&harness, 3);
    let mut begun: Vec<Client> = (0..5).map(|_| harness.connect()).collect();
    for client in &mut begun {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    }
    std::thread::sleep(Duration::from_millis(2_200));
    assert_eq!(harness.outcomes(Reason::BeginStalled), 0);
    process.pressure.note_memory(95, 100);
    stead_serve::weigh(&process);
    harness.expect_outcomes(Reason::BeginStalled, 5);
    for client in &mut begun {
        assert_eq!(client.answer().status, 408);
        client.expect_closed();
    }
    assert_eq!(harness.outcomes(Reason::IdlePressure), 0);
    // One that is new is given its time.
    let mut honest = harness.connect();
    honest.send("GET / HTTP/1.1\r\n");
    process.pressure.note_memory(10, 100);
    expect_level(&process, Level::Calm);
    honest.send("Host: a\r\n\r\n");
    assert_eq!(honest.answer().text(), "hello");
    assert_eq!(idle.pop().expect("a client").get("/").text(), "hello");
}

/// Where all that a peer left lies in the socket's way, the connection goes with its streams.
#[test]
fn security_36_a_connection_that_takes_nothing_goes_before_who_rests() {
    let process = Arc::new(Process::default());
    let large = Make(|exchange: &mut Exchange| text(exchange, &vec![b'x'; 1 << 20]));
    let harness = start(&process, vec![Gate::default().recipe().route("/large", large)]);
    let mut idle = rest(&harness, 3);
    let settings = setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff);
    let mut attacker = Http2::with(Client::connect_narrow(harness.address), &settings);
    attacker.send(window_update(0, 0x7fff_0000));
    for n in 0..20 {
        attacker.send(get(2 * n + 1, "/large"));
    }
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 20));
    std::thread::sleep(Duration::from_millis(3_500));
    harness.expect_open(4);
    process.pressure.note_memory(95, 100);
    stead_serve::weigh(&process);
    harness.expect_open(3);
    assert!(harness.outcomes(Reason::Http2Stalled) > 0);
    assert_eq!(harness.outcomes(Reason::IdlePressure), 0);
    process.pressure.note_memory(10, 100);
    expect_level(&process, Level::Calm);
    assert_eq!(idle.pop().expect("a client").get("/").text(), "hello");
}

/// A request that came as the connection was told to make room let it stay, told already and so
/// never told again.
#[test]
fn who_is_told_to_make_room_and_has_a_request_is_told_again() {
    let (process, gate, turn) = (places_for(PLACES), Gate::default(), Gate::default());
    let harness = start(&process, vec![gate.recipe().health("/turn", turn.waiting())]);
    let _busy = established(&harness, CALM - 2, 0);
    let mut resting = Http2::connect(harness.address);
    assert_eq!(resting.get(1, "/"), answer(200, "hello"));
    let mut blocker = harness.connect();
    assert_eq!(blocker.get("/").text(), "hello");
    // While the worker looks at nothing, somebody comes, and then the request.
    blocker.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(30));
    let _comes = begin(&harness);
    resting.send(get(3, "/turn"));
    assert_eq!(blocker.answer().text(), "blocked");
    turn.open();
    assert_eq!(resting.end(3), answer(200, "waited"));
    // Now it is the only one at rest.
    assert!(process.connections.take(3));
    stead_serve::weigh(&process);
    resting.expect_go_away(NO_ERROR);
}

/// HTTP/2 refused every stream, HTTP/1 a connection's first request only, whatever ran short.
#[test]
fn security_36_both_protocols_refuse_what_takes_more_of_what_is_short() {
    let (process, gate) = (places_for(PLACES), Gate::default());
    let turn = [Gate::default(), Gate::default()];
    let recipe = gate.recipe().route("/0", turn[0].waiting()).route("/1", turn[1].waiting());
    let harness = start(&process, vec![recipe]);
    // Whose second request waits for its turn, and whose third is there.
    let mut clients = ["/0", "/1"].map(|path| {
        let mut client = harness.connect();
        let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send(["/", path, "/"].map(request).concat());
        client
    });
    let mut http2 = Http2::connect(harness.address);
    assert_eq!(http2.get(1, "/"), answer(200, "hello"));
    http2.send(get(3, "/wait"));
    assert!(eventually(|| harness.count(|counters| &counters.requests_active) == 3));
    let status = |end: End| match end {
        End::Answer { status, .. } => status,
        End::Reset(code) => panic!("reset: {code}"),
    };

    // Places are short: who has one is served.
    assert!(process.connections.take(CALM - 1));
    stead_serve::weigh(&process);
    expect_level(&process, Level::Overloaded);
    assert_eq!(http2.get(5, "/"), answer(200, "hello"));
    turn[0].open();
    for expected in ["hello", "waited", "hello"] {
        assert_eq!(clients[0].answer().text(), expected);
    }
    assert_eq!(harness.connect().get("/").status, 503);
    assert_eq!(status(Http2::connect(harness.address).get(1, "/")), 503);
    process.connections.release(CALM - 1);

    // Memory is short: nobody is, but who asks whether the server is well.
    process.pressure.note_memory(95, 100);
    stead_serve::weigh(&process);
    expect_level(&process, Level::Overloaded);
    assert_eq!(status(http2.get(7, "/")), 503);
    turn[1].open();
    for expected in ["hello", "waited"] {
        assert_eq!(clients[1].answer().text(), expected);
    }
    let refused = clients[1].answer();
    assert_eq!((refused.status, refused.field("Retry-After")), (503, Some("1")));
    clients[1].expect_closed();
    assert_eq!(harness.connect().get("/").status, 503);
    assert_eq!(http2.get(9, "/healthz"), answer(200, "well"));
    harness.expect_outcomes(Reason::Overloaded, 5);
    gate.open();
    assert_eq!(http2.end(3), answer(200, "waited"));
}

/// A drain came while a connection waited for room: it was accepted, and closed without a word.
#[test]
fn who_waits_for_room_is_answered_though_the_worker_drains() {
    let (process, gate) = (places_for(1), Gate::default());
    let harness = start(&process, vec![gate.recipe()]);
    // As if there were another worker, with the only place and something at rest.
    process.set_workers(2);
    assert!(process.connections.take(1));
    let mut waits = harness.connect();
    waits.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(30));
    harness.drain(Duration::from_secs(15));
    assert_eq!(waits.answer().status, 503);
    waits.expect_closed();
}
