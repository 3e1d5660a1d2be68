//! The loop of middleware: in order, back in reverse, and what they keep released in time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::{Error, Exchange, Flow, Handler, Middleware, Name, Reply, Response, StatusCode};

use crate::handlers::{Calls, Make, Switch, Told, sleep, text, wait};
use crate::harness::{Harness, Recipe, eventually};

/// What one middleware of a test is told to do.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Act {
    #[default]
    Continue,
    Respond,
    Fail,
    /// Continues after a while.
    Wait,
    /// Answers after a while.
    WaitRespond,
    /// Fails after a while.
    WaitFail,
}

/// Writes down when it runs.
struct Step {
    name: &'static str,
    request: Act,
    response: Act,
    told: Arc<Mutex<String>>,
}

impl Step {
    fn run<'a>(&'a self, phase: &str, act: Act, exchange: &'a mut Exchange) -> Flow<'a> {
        let status = exchange.response().map_or(0, |answer| answer.status.as_u16());
        let line = format!("{phase}{}:{status} ", self.name);
        self.told.lock().expect("not poisoned").push_str(&line);
        match act {
            Act::Continue => Flow::Continue,
            Act::Respond => Flow::Respond(text(exchange, self.name.as_bytes())),
            Act::Fail => Flow::Wait(Box::pin(async { Err(Reason::NotReady.into()) })),
            Act::Wait | Act::WaitRespond | Act::WaitFail => Flow::Wait(Box::pin(async move {
                sleep(3).await;
                match act {
                    Act::WaitRespond => Ok(Some(text(exchange, self.name.as_bytes()))),
                    Act::WaitFail => Err(Error::internal("as asked")),
                    _ => Ok(None),
                }
            })),
        }
    }
}

impl Middleware for Step {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        self.run(">", self.request, exchange)
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        self.run("<", self.response, exchange)
    }
}

/// What `a`, `b` and `c` around a handler were told, and the answer.
fn check(acts: [(Act, Act); 3], handler: impl Handler + 'static, expect: &str, status: u16) {
    let told = Arc::new(Mutex::new(String::new()));
    let steps = ["a", "b", "c"].into_iter().zip(acts).map(|(name, (request, response))| {
        let told = Arc::clone(&told);
        Box::new(Step { name, request, response, told }) as Box<dyn Middleware>
    });
    let harness = Recipe::default().route_with("/", handler, steps.collect()).start();
    let mut client = harness.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").status, status);
        let lines = std::mem::take(&mut *told.lock().expect("not poisoned"));
        assert_eq!(lines.trim_end(), expect);
    }
}

const GO: (Act, Act) = (Act::Continue, Act::Continue);

/// 201, so that it is told from an answer of middleware.
struct Created;

impl Handler for Created {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Ready(exchange.respond(StatusCode::CREATED))
    }
}

#[test]
fn requests_pass_in_order_and_answers_in_reverse() {
    check([GO, GO, GO], Created, ">a:0 >b:0 >c:0 <c:201 <b:201 <a:201", 201);
    let later = (Act::Wait, Act::Wait);
    check([later, GO, later], Created, ">a:0 >b:0 >c:0 <c:201 <b:201 <a:201", 201);
}

#[test]
fn an_early_answer_skips_what_is_further_in() {
    for act in [Act::Respond, Act::WaitRespond] {
        let early = (act, Act::Continue);
        check([GO, early, GO], Created, ">a:0 >b:0 <b:200 <a:200", 200);
    }
}

#[test]
fn errors_come_back_as_answers_through_the_response_phase() {
    for (act, status) in [(Act::Fail, 503), (Act::WaitFail, 500)] {
        let failing = (act, Act::Continue);
        let expect = format!(">a:0 >b:0 <b:{status} <a:{status}");
        check([GO, failing, GO], Created, &expect, status);
    }
    let fails = wait(|_| Box::pin(async { Err(Error::internal("as asked")) }));
    check([GO, GO, GO], fails, ">a:0 >b:0 >c:0 <c:500 <b:500 <a:500", 500);
}

/// An error of the response phase kept its plain text, also where there was a page for it.
#[test]
fn an_error_page_stands_for_errors_of_every_phase() {
    let page = |request: Act, response: Act, handler: Box<dyn Handler>| {
        let step = Step { name: "a", request, response, told: Arc::default() };
        let recipe = Recipe::default().error_page("<p>sorry");
        let harness = recipe.route_with("/", Boxed(handler), vec![Box::new(step)]).start();
        let answer = harness.connect().get("/");
        (answer.status, answer.text().to_owned())
    };
    let sorry = |status: u16| (status, "<p>sorry".to_owned());
    let go = Act::Continue;
    assert_eq!(page(Act::Fail, go, Box::new(Created)), sorry(503));
    assert_eq!(page(go, Act::WaitFail, Box::new(Created)), sorry(500));
    let fails = wait(|_| Box::pin(async { Err(Error::internal("as asked")) }));
    assert_eq!(page(go, go, Box::new(fails)), sorry(500));
    let panics = Make(|_: &mut Exchange| -> Response { panic!("on purpose") });
    assert_eq!(page(go, go, Box::new(panics)), sorry(500));
    assert_eq!(page(go, go, Box::new(Created)), (201, String::new()));
}

struct Boxed(Box<dyn Handler>);

impl Handler for Boxed {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        self.0.call(exchange)
    }
}

#[test]
fn the_response_phase_may_replace_the_answer_or_fail() {
    for (act, status) in [(Act::Respond, 200), (Act::WaitFail, 500), (Act::Fail, 503)] {
        let replacing = (Act::Continue, act);
        let expect = format!(">a:0 >b:0 >c:0 <c:201 <b:201 <a:{status}");
        check([GO, replacing, GO], Created, &expect, status);
    }
}

/// Marks answers; holds something while an exchange lasts.
struct Holds(Calls);

impl Middleware for Holds {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        exchange.slots().put(Told(self.0.clone()));
        Flow::Continue
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(answer) = exchange.response_mut() {
            answer.fields.set(Name::from_bytes(b"x-seen"), b"yes");
        }
        Flow::Continue
    }
}

fn holding() -> (Calls, Harness) {
    let released = Calls::default();
    let holds = || vec![Box::new(Holds(released.clone())) as Box<dyn Middleware>];
    let hang = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            sleep(600_000).await;
            Ok(text(exchange, b"never"))
        })
    });
    let panics = wait(|_| Box::pin(async { panic!("the script says so") }));
    let harness = Recipe::default()
        .timeouts(|timeouts| timeouts.request = Some(Duration::from_millis(200)))
        .route_with("/", Created, holds())
        .route_with("/panics", panics, holds())
        .route_with("/hang", hang, holds())
        .route_with("/switch", Switch, holds())
        .start();
    (released, harness)
}

#[test]
fn what_an_exchange_holds_is_released_when_it_ends() {
    crate::panics::quiet();
    let (released, harness) = holding();
    let mut expected = 0;
    let mut check = |why: &str| {
        expected += 1;
        let started = Instant::now();
        assert!(eventually(|| released.value() == expected), "{why}: {}", released.value());
        assert!(started.elapsed() < Duration::from_millis(1_500), "{why}: late");
    };
    let mut client = harness.connect();
    assert_eq!(client.get("/").field("x-seen"), Some("yes"));
    check("answered, the connection kept");
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n");
    client.answer();
    // The close lingers for two seconds more.
    check("answered, the connection closing");
    assert_eq!(harness.connect().get("/panics").status, 500);
    check("panicked");
    assert_eq!(harness.connect().get("/hang").status, 503);
    check("took too long");
    let mut client = harness.connect();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    client.reset();
    check("the client went away");
    let mut client = harness.connect();
    client.send("GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert!(client.head().expect("an answer").contains("x-seen: yes"), "also on 101");
    assert_eq!(released.value(), 5, "a tunnel is part of its exchange");
    drop(client);
    check("the tunnel ended");
}
