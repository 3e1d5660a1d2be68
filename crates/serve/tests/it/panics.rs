//! Panics of other people's code: SECURITY.md 58.

use stead_base::Reason;
use stead_core::{
    Body, Exchange, Flow, Handler, Middleware, Reply, StatusCode, Tunnel, TunnelIo, name,
};

use crate::client::Answer;
use crate::handlers::{Fixed, Play, Step, sleep, wait};
use crate::harness::Recipe;
use crate::witness::Witness;

const TEXT: &str = "as the test asked";

/// Panics at once.
struct Panics;

impl Handler for Panics {
    fn call<'a>(&'a self, _: &'a mut Exchange) -> Reply<'a> {
        panic!("{TEXT}")
    }
}

impl Tunnel for Panics {
    fn run<'a>(
        self: Box<Self>,
        _: &'a mut dyn TunnelIo,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + 'a>> {
        Box::pin(async { panic!("{TEXT}") })
    }
}

/// Panics in one of its phases, at once or later.
struct Around {
    in_request: bool,
    at_once: bool,
}

impl Around {
    fn panic<'a>(&self) -> Flow<'a> {
        assert!(!self.at_once, "{TEXT}");
        Flow::Wait(Box::pin(async {
            sleep(5).await;
            panic!("{TEXT}")
        }))
    }
}

impl Middleware for Around {
    fn request<'a>(&'a self, _: &'a mut Exchange) -> Flow<'a> {
        if self.in_request { self.panic() } else { Flow::Continue }
    }

    fn response<'a>(&'a self, _: &'a mut Exchange) -> Flow<'a> {
        if self.in_request { Flow::Continue } else { self.panic() }
    }
}

fn around(in_request: bool, at_once: bool) -> Vec<Box<dyn Middleware>> {
    vec![Box::new(Around { in_request, at_once })]
}

fn recipe() -> Recipe {
    let later = wait(|_| {
        Box::pin(async {
            sleep(5).await;
            panic!("{TEXT}")
        })
    });
    let reading = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            let _body = exchange.take_body();
            panic!("{TEXT}")
        })
    });
    let tunnel = wait(|exchange: &mut Exchange| {
        Box::pin(async {
            let mut answer = exchange.respond(StatusCode::SWITCHING_PROTOCOLS);
            answer.fields.set(name::UPGRADE, b"x");
            Ok(answer.with_body(Body::Tunnel(Box::new(Panics))))
        })
    });
    Recipe::default()
        .route("/at-once", Panics)
        .route("/later", later)
        .route("/reading", reading)
        .route_with("/request", Fixed("x"), around(true, true))
        .route_with("/request-later", Fixed("x"), around(true, false))
        .route_with("/response", Fixed("x"), around(false, true))
        .route_with("/response-later", Fixed("x"), around(false, false))
        .route("/stream", Play(vec![Step::text("begin"), Step::Yield, Step::Panic], None))
        .route("/stream-at-once", Play(vec![Step::Panic], Some(5)))
        .route("/tunnel", tunnel)
}

/// What `path` came to, the connection being closed behind it.
fn panicked(witness: &mut Witness, request: &str, times: u64) -> Option<Answer> {
    let mut client = witness.harness.connect();
    client.send([request, "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    let answer = client.try_answer();
    client.expect_closed();
    witness.harness.expect_outcomes(Reason::HandlerPanic, times);
    assert_eq!(witness.harness.count(|counters| &counters.panics), times);
    assert_eq!(witness.harness.count(|counters| &counters.requests_active), 0);
    witness.is_content();
    answer
}

#[test]
fn security_58_a_panic_ends_one_connection_and_is_counted() {
    quiet();
    let mut witness = Witness::of(recipe());
    let paths = [
        "/at-once",
        "/later",
        "/request",
        "/request-later",
        "/response",
        "/response-later",
        "/reading",
    ];
    let mut times = 0;
    for path in paths {
        times += 1;
        let length = if path == "/reading" { 5 } else { 0 };
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let answer = panicked(&mut witness, &request, times).expect("an answer");
        assert_eq!((answer.status, answer.field("connection")), (500, Some("close")), "{path}");
    }
    // What has begun cannot become a 500, but it is visibly cut.
    for path in ["/stream", "/stream-at-once"] {
        times += 1;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(panicked(&mut witness, &request, times), None, "{path}");
    }
    let switch = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let answer = panicked(&mut witness, switch, times + 1);
    assert_eq!(answer.map(|answer| answer.status), Some(101));
    witness.harness.expect_open(1);
}

/// Keeps the panics that this test asks for out of the tests' output.
pub(crate) fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if ![TEXT, "the script says so"].contains(&text) {
                usual(panic);
            }
        }));
    });
}
