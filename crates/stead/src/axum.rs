//! What axum's extractors look for in a request. Compiled with the feature `axum`.

use std::net::SocketAddr;

use http::Extensions;
use stead_tower::ConnectInfo;

/// Adds axum's own `ConnectInfo<SocketAddr>`, so that its extractor works on a router as it is.
pub(crate) const EXTEND: fn(&ConnectInfo, &mut Extensions) = |info, extensions| {
    extensions.insert(axum::extract::ConnectInfo::<SocketAddr>(info.address()));
};
