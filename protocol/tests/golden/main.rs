//! Everything golden about the contract: bodies, frames, events, the `OpenAPI` document.
//!
//! Bodies and events are written by hand and are never generated. The bytes of frames and the
//! `OpenAPI` document are rewritten by `UPDATE_GOLDEN=1 cargo test -p provost-protocol`, for a
//! change that is meant; without the switch a difference fails.

#![expect(clippy::unwrap_used, reason = "helpers of a test end it by panicking")]

mod common;
mod events;
mod messages;
mod openapi;
mod schemas;
mod v01;
mod wire;
mod words;
