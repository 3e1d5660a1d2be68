//! The bench of the tests, with the kinds of this crate.

pub(crate) use stead_testing::Bench;
use stead_testing::messages;

use crate::KINDS;

/// The handler of `settings` on a route with the path `pattern`.
pub(crate) fn bench(pattern: &str, settings: &str) -> Bench {
    match Bench::handler(KINDS, pattern, settings) {
        Ok(bench) => bench,
        Err(diagnostics) => panic!("{settings}: {diagnostics}"),
    }
}

/// What is wrong with `settings`, by message.
pub(crate) fn refusal(pattern: &str, settings: &str) -> Vec<String> {
    Bench::handler(KINDS, pattern, settings).err().map(|wrong| messages(&wrong)).unwrap_or_default()
}
