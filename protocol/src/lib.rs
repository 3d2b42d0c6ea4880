//! The contract between the kernel and any runtime, as types.
//!
//! Everything that kernel, connector, command line and disk must agree on stands here and nowhere
//! else: ids, times, the bodies of the five v0.1 calls, the frames and messages of `provost/1`, the
//! license document, the journal's envelope with its registry of kinds, and the stable error codes.
//!
//! The crate does no I/O, reads no clock, draws no randomness and logs nothing: time and
//! randomness are parameters. Two formats are used, on purpose:
//!
//! - **what lasts is JSON** ([`envelope`], [`license`]): an auditor reads it in ten years;
//! - **what is fast and disposable is bincode** ([`codec`], the only file that knows the crate).
//!

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
pub mod note;
pub mod sign;
pub mod spiffe;
pub mod time;
pub mod token;
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
