//! What the engine does as a whole: a corpus of messages, the same answers however the input is
//! cut, what is written reads back, and nothing allocated once warm.

#![forbid(unsafe_code)]

mod allocation;
mod corpus;
mod differential;
mod exchange;
mod properties;
