//! Why an attempt gave no certificate, and when the next one may come.
//!
//! What passes by itself (a network, a full server, a spent nonce) is tried again soon; what the
//! authority refuses or cannot prove is tried seldom, because it counts what fails: Let's Encrypt
//! allows five failed challenges per host and hour. What it asks to wait is always waited.

use std::fmt;
use std::time::Duration;

use instant_acme::{Error, Problem};
use stead_base::is_unseen;

/// One failed attempt.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// One line for people.
    pub(crate) message: String,
    /// What the authority asked to wait, or would ask.
    pub(crate) retry_after: Option<Duration>,
}

/// What sort of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Passes by itself.
    Passing,
    /// The challenge was not met; one of another kind might be.
    Challenge,
    /// The authority will not do it until something is changed.
    Refused,
    /// Too much was asked of the authority.
    RateLimited,
    /// The authority does not know the account any more.
    AccountGone,
}

impl Failure {
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), retry_after: None }
    }

    /// `retry_after` is what came with the last answer that was an error.
    pub(crate) fn of(doing: &str, error: &Error, retry_after: Option<Duration>) -> Self {
        Self { cause: cause(error), message: format!("{doing}: {}", shown(error)), retry_after }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What sort of failure an error is.
pub(crate) fn cause(error: &Error) -> Cause {
    match error {
        Error::Api(problem) => cause_of_problem(problem),
        Error::Crypto | Error::KeyRejected | Error::InvalidUri(_) | Error::Unsupported(_) => {
            Cause::Refused
        }
        // A proxy's page in place of an answer, an answer without a nonce, a closed connection.
        _ => Cause::Passing,
    }
}

fn cause_of_problem(problem: &Problem) -> Cause {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    match kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind) {
        "badNonce" | "serverInternal" | "orderNotReady" => Cause::Passing,
        "rateLimited" => Cause::RateLimited,
        "accountDoesNotExist" => Cause::AccountGone,
        "connection" | "dns" | "tls" | "unauthorized" | "incorrectResponse" | "caa" => {
            Cause::Challenge
        }
        _ if problem.status.is_some_and(|status| status >= 500) => Cause::Passing,
        _ if problem.status == Some(429) => Cause::RateLimited,
        _ => Cause::Refused,
    }
}

/// An error in one line, without what a peer could smuggle into a terminal.
fn shown(error: &Error) -> String {
    let text = match error {
        Error::Api(problem) => problem_text(problem),
        Error::Timeout(_) => "the authority took too long".to_owned(),
        Error::Json(_) => "the authority's answer is no ACME".to_owned(),
        error => error.to_string(),
    };
    one_line(&text)
}

/// A problem in one line (RFC 7807).
pub(crate) fn problem_text(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("about:blank");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    let mut text = format!("{kind}: {detail}");
    for below in &problem.subproblems {
        text.push_str("; ");
        text.push_str(below.detail.as_deref().unwrap_or("no reason given"));
    }
    one_line(&text)
}

/// SECURITY: an authority neither ends a line nor turns round how it reads.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(MESSAGE_CHARACTERS_MAX) {
        match character {
            '\t' | '\n' | '\r' => line.push(' '),
            character if is_unseen(character) => line.extend(character.escape_unicode()),
            character => line.push(character),
        }
    }
    line
}

/// Of a message that the authority wrote.
const MESSAGE_CHARACTERS_MAX: usize = 400;

/// How long to wait after a failure.
///
/// `count` is how many attempts failed in a row, this one included; `kinds` how many ways to prove
/// there are, each of which is tried once before the long waits begin. `chance` in 0 to 1 spreads
/// the result by a fifth to both sides, but never below what the authority asked.
pub(crate) fn wait(failure: &Failure, count: u32, kinds: u32, chance: f64) -> Duration {
    let (first, factor, max) = match failure.cause {
        Cause::Passing | Cause::AccountGone => (Duration::from_secs(5), 2, HOUR),
        Cause::Challenge if count < kinds => (Duration::from_secs(3), 1, HOUR),
        Cause::Challenge | Cause::Refused => (Duration::from_mins(10), 3, 12 * HOUR),
        Cause::RateLimited => (HOUR, 2, 24 * HOUR),
    };
    let steps = match failure.cause {
        Cause::Challenge => count.saturating_sub(kinds),
        _ => count.saturating_sub(1),
    };
    let grown = u32::checked_pow(factor, steps).and_then(|times| first.checked_mul(times));
    let wait = grown.map_or(max, |grown| grown.min(max));
    let spread = wait.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
    let asked = failure.retry_after.unwrap_or_default().min(ASKED_MAX);
    spread.max(asked.mul_f64(1.0 + 0.1 * chance.clamp(0.0, 1.0)))
}

const HOUR: Duration = Duration::from_hours(1);

/// What an authority may ask to wait: its longest window is a week.
pub(crate) const ASKED_MAX: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(cause: Cause, kinds: u32) -> Vec<u64> {
        let failure = Failure::new(cause, "");
        (1..=8).map(|count| wait(&failure, count, kinds, 0.5).as_secs()).collect()
    }

    #[test]
    fn what_passes_is_tried_soon_and_then_ever_later() {
        assert_eq!(seconds(Cause::Passing, 1), [5, 10, 20, 40, 80, 160, 320, 640]);
        let late = wait(&Failure::new(Cause::Passing, ""), 4_000_000_000, 1, 0.5);
        assert_eq!(late, HOUR);
    }

    #[test]
    fn every_kind_is_tried_once_before_the_long_waits() {
        assert_eq!(seconds(Cause::Challenge, 2)[..4], [3, 600, 1_800, 5_400]);
        assert_eq!(seconds(Cause::Challenge, 1)[..3], [600, 1_800, 5_400]);
    }

    #[test]
    fn five_failed_challenges_an_hour_are_never_reached() {
        for kinds in 1..=2 {
            let failure = Failure::new(Cause::Challenge, "");
            let mut at = Duration::ZERO;
            let waits = (1..).map(|count| wait(&failure, count, kinds, 0.0));
            let within = waits.take_while(|wait| {
                at += *wait;
                at < HOUR
            });
            assert!(1 + within.count() < 5);
        }
    }

    #[test]
    fn what_is_asked_is_always_waited() {
        let mut failure = Failure::new(Cause::RateLimited, "");
        failure.retry_after = Some(3 * HOUR);
        for chance in [0.0, 0.5, 1.0] {
            assert!(wait(&failure, 1, 1, chance) >= 3 * HOUR);
        }
        failure.retry_after = Some(Duration::from_secs(u64::MAX));
        assert!(wait(&failure, 1, 1, 1.0) <= ASKED_MAX.mul_f64(1.1));
    }

    #[test]
    fn the_spread_stays_within_a_fifth() {
        let failure = Failure::new(Cause::Passing, "");
        assert_eq!(wait(&failure, 1, 1, 0.0), Duration::from_secs(4));
        assert_eq!(wait(&failure, 1, 1, 1.0), Duration::from_secs(6));
    }

    #[test]
    fn security_an_authority_writes_no_control_characters_into_the_log() {
        let text = one_line(&format!("a\n\u{1b}[31mb\u{202e}{}", "x".repeat(1_000)));
        assert!(text.starts_with(r"a \u{1b}[31mb\u{202e}xx"), "{text}");
        assert!(text.len() < 2 * MESSAGE_CHARACTERS_MAX, "{text}");
    }
}
