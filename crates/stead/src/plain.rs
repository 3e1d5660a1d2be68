//! Requests as they are: nothing for other crates' extractors. Compiled without the feature `axum`.

use http::Extensions;
use stead_tower::ConnectInfo;

/// Adds nothing.
pub(crate) const EXTEND: fn(&ConnectInfo, &mut Extensions) = |_, _| {};
