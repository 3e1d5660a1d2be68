//! What the running listeners do for an authority: show challenges, and serve what was issued.
//!
//! Implemented where listeners are known. Called from the background thread only, seldom; whatever
//! is given must be visible to every worker when the call returns.

use crate::{Certificate, Challenge, ChallengeKind};

/// The running listeners, as an authority sees them.
pub trait Front: Send + Sync + 'static {
    /// The kinds of challenges that some listener can show, the likeliest first; empty where none
    /// can.
    fn kinds(&self) -> Vec<ChallengeKind>;

    /// Shows what proves `host` from now on.
    fn show(&self, host: &str, challenge: &Challenge);

    /// Shows it no more.
    fn forget(&self, host: &str, challenge: &Challenge);

    /// Serves `certificate` to clients of `host` from now on.
    ///
    /// # Errors
    /// Why it cannot be served; it stays stored.
    fn install(&self, host: &str, certificate: &Certificate) -> Result<(), String>;
}
