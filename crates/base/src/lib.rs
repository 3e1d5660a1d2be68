//! What every other crate of Stead shares: outcomes, errors, sizes, ticks and limits.
//!
//! Pure: no sockets, no clock, no allocation beyond error context. `reason` is the single source of
//! every outcome's code, status, side and meaning; log, metrics and documents read it from there.

#![forbid(unsafe_code)]

mod error;
mod frequency;
mod limits;
mod network;
mod reason;
mod size;
mod text;
mod tick;

pub use error::{Error, Kind, Result, Retry};
pub use frequency::Frequency;
pub use limits::{HeadLimits, Limits, Timeouts};
pub use network::{Network, Networks, ParseNetworkError};
pub use reason::{Reason, ReasonFacts, Side};
pub use size::{ByteSize, ParseUnitError, Rate, format_duration, parse_duration};
pub use text::is_unseen;
pub use tick::Tick;
