//! The contract between the kernel and any runtime, as types.
//!
//! Everything that kernel, connector, command line and disk must agree on stands here and nowhere
//! else: ids, times, the bodies of the five v0.1 calls, the frames and messages of `provost/1`, the
//! license document, the journal's envelope with its registry of kinds, the evidence of its logs
//! ([`tlog`]), and the stable error codes.
//!
//! The crate does no I/O, reads no clock, draws no randomness and logs nothing: time and
//! randomness are parameters. Two formats are used, on purpose:
//!
//! - **what lasts is JSON** ([`envelope`], [`license`]): an auditor reads it in ten years;
//! - **what is fast and disposable is bincode** ([`codec`], the only file that knows the crate).
//!
//! A message becomes a frame, and a stream of bytes becomes messages again:
//!
//! ```
//! use provost_protocol::{
//!     codec,
//!     frame::{FRAME_BYTES_MAX, FrameDecoder},
//!     wire::{ClientMessage, Goodbye},
//! };
//!
//! let goodbye = Goodbye { reason: "restarting".to_owned(), retry_after_ms: 0 };
//! let said = ClientMessage::Goodbye(goodbye);
//! let frame = codec::encode_frame(&said)?;
//!
//! let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
//! decoder.push(&frame);
//! let body = decoder.next_frame()?.ok_or("a whole frame was pushed")?;
//! assert_eq!(codec::decode::<ClientMessage>(&body)?, said);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod certificate;
pub mod code;
pub mod codec;
pub mod enrolment;
pub mod entity;
pub mod envelope;
pub mod event;
pub mod frame;
pub mod ids;
pub mod json;
pub mod license;
pub mod metrics;
pub mod note;
pub mod openapi;
pub mod sign;
pub mod spiffe;
pub mod time;
pub mod tlog;
pub mod token;
pub mod trust;
pub mod v01;
pub mod verdict;
pub mod version;
pub mod wire;

pub use code::{Code, Problem};
pub use ids::{
    CorrelationId, EventId, IdentityId, InstallId, ProviderId, RequestId, RuntimeId, TenantId,
    TokenId,
};
pub use time::Timestamp;
pub use version::ContractVersion;
