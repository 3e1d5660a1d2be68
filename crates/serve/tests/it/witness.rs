//! A server under abuse, with an honest neighbour on the same worker who must notice nothing.

use stead_base::Reason;

use crate::client::{Answer, Client};
use crate::handlers::{Calls, Count, Fixed, Tell};
use crate::harness::{Harness, Recipe};

/// A server, its honest neighbour, and a route that nobody may reach behind an error.
pub(crate) struct Witness {
    pub(crate) harness: Harness,
    neighbour: Client,
    behind: Calls,
}

impl Witness {
    /// Of a server with the usual limits.
    pub(crate) fn new() -> Self {
        Self::of(Recipe::default())
    }

    /// Of `recipe` with the routes `/` (counts a body), `/tell/…`, `/hello` and `/behind`.
    pub(crate) fn of(recipe: Recipe) -> Self {
        let behind = Calls::default();
        let harness = recipe
            .route("/", Count)
            .route("/tell/{*rest}", Tell)
            .route("/hello", Fixed("hello"))
            .route("/behind", behind.clone())
            .start();
        let neighbour = harness.connect();
        let mut witness = Self { harness, neighbour, behind };
        witness.is_content();
        witness
    }

    /// The neighbour is served as ever.
    pub(crate) fn is_content(&mut self) {
        assert_eq!(self.neighbour.get("/hello").text(), "hello", "the neighbour");
    }

    /// `message`, with a good request behind it, is answered with `status` and `Connection: close`,
    /// counted as `reason`, and what is behind it is thrown away.
    pub(crate) fn sees_refused(&mut self, message: impl AsRef<[u8]>, reason: Reason) -> Answer {
        let message = message.as_ref();
        let shown = message[..message.len().min(300)].escape_ascii().to_string();
        let before = self.harness.outcomes(reason);
        let mut client = self.harness.connect();
        client.send([message, b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        let answer = client.try_answer().unwrap_or_else(|| panic!("no answer to {shown}"));
        assert_eq!(Some(answer.status), reason.status(), "{shown}\n{}", answer.head);
        assert_eq!(answer.field("connection"), Some("close"), "{shown}");
        assert_eq!(client.read_to_close(), "", "after the answer to {shown}");
        self.harness.expect_outcomes(reason, before + 1);
        assert_eq!(self.behind.value(), 0, "a request behind {shown} was served");
        self.is_content();
        answer
    }

    /// `message` is answered with 200 and the connection kept.
    pub(crate) fn sees_served(&mut self, message: impl AsRef<[u8]>) -> Answer {
        let mut client = self.harness.connect();
        client.send(&message);
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{}", message.as_ref().escape_ascii());
        assert_eq!(
            client.get("/hello").text(),
            "hello",
            "after {}",
            message.as_ref().escape_ascii()
        );
        answer
    }
}
