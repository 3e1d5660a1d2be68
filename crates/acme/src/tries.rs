//! Steps of an order that are tried again in place: what passes by itself, such as a spent nonce,
//! need not end an attempt.

use std::time::Duration;

use instant_acme::Error;

use crate::failure::{Cause, cause};

/// How often one step was tried that may pass by itself.
#[derive(Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// How long to wait before the next try of what gave `result`; none where it is settled.
    pub(crate) fn wait<T>(&mut self, result: &Result<T, Error>) -> Option<Duration> {
        self.wait_after(result.as_ref().err()?)
    }

    /// Whether something was tried again.
    pub(crate) fn is_begun(&self) -> bool {
        self.0 > 1
    }

    pub(crate) fn wait_after(&mut self, error: &Error) -> Option<Duration> {
        self.0 += 1;
        // One that waited its time is not begun again.
        let is_over = matches!(error, Error::Timeout(_)) || self.0 >= TRIES;
        (!is_over && cause(error) == Cause::Passing).then(|| BETWEEN_TRIES * self.0)
    }
}

/// Beside the three that the client makes where a nonce was spent.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_a_few_times_and_what_does_not_is_not() {
        let mut tries = Tries::default();
        let passing = Err::<(), _>(Error::Str("no nonce found in newNonce response"));
        let waits: Vec<_> = std::iter::from_fn(|| tries.wait(&passing)).collect();
        assert_eq!(waits, [1, 2, 3].map(|times| BETWEEN_TRIES * times));
        assert_eq!(Tries::default().wait(&Ok(())), None);
        assert_eq!(Tries::default().wait(&Err::<(), _>(Error::KeyRejected)), None);
        assert_eq!(Tries::default().wait(&Err::<(), _>(Error::Timeout(None))), None);
    }
}
