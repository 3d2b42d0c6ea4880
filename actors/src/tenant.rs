//! A tenant's actor: the only one that appends to its tenant's log.
//!
//! Commands are decided in order on a *pending* state; their events travel together in the next
//! append; answers leave when the group is durable. Readers see the last *committed* state, which
//! is published as a whole and never waits for a commit.
//!
//! Nothing here survives a crash: the actor is rebuilt from the store.

mod actor;
mod audit;
mod commit;
mod error;
mod facts;
mod handle;
mod license;
mod message;
mod queue;
mod recent;
mod upkeep;

pub(crate) use self::{
    actor::{Ahead, Published, TenantActor},
    message::{Presence, PresenceChange},
};
pub use self::{
    error::TenantError,
    handle::TenantHandle,
    license::license_document,
    message::{AuditItem, Executed, Guard, Meta},
};
