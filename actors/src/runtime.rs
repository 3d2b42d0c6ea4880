//! A runtime's actor: what is volatile about one live runtime. Its heartbeats, its health, its
//! session. It never appends to a log; it asks its tenant.
//!
//! Nothing here survives a crash. After a restart a runtime that the log calls active has a full
//! grace before it counts as lost (see [`crate::Directory::sweep`]).

mod actor;
mod checkpoints;
mod copies;
mod handle;
mod live;
mod silence;
mod younger;

pub(crate) use self::{
    actor::{Fleet, RuntimeActor},
    handle::Recorded,
    live::{Beat, Live},
};
pub use self::{
    handle::{BeatAnswer, Opened, Opening, RuntimeHandle},
    live::LiveRuntime,
    younger::Younger,
};
