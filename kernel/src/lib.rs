//! The rules of governance, as pure state machines.
//!
//! This crate decides; others do. [`decide`] says which events follow from a [`Command`] on a
//! tenant's [`State`], or why nothing may; [`apply`] takes events in and is the only place where
//! state changes, whether live, in the store's projection or in a rebuild from the journal: the
//! same events give the same answers by construction.
//!
//! It does no I/O, reads no clock, draws no randomness, logs nothing and never waits: time, ids and
//! hashes are parameters. It never knows what a product sells: a feature is a word.
//!
//! Besides the tenant there are small machines without a log: [`liveness`] of a runtime, its
//! [`clones`], [`session`] of a connection, [`desired`] state on both sides. One evaluator,
//! [`check`], answers on the kernel's side and, over a license, on the runtime's.
//!
//! ```
//! use provost_kernel::{At, Command, State, apply, command::CreateTenant, decide};
//! use provost_protocol::{TenantId, Timestamp, entity::{Policies, TenantType}};
//!
//! let now = Timestamp::from_millis(1_795_325_728_000);
//! let tenant = TenantId::from_parts(now, [7; 10]);
//! let mut state = State::new(tenant, 1);
//! let command = Command::CreateTenant(CreateTenant {
//!     tenant_type: TenantType::Company,
//!     name: "Acme".to_owned(),
//!     policies: Policies::default(),
//!     operator: None,
//!     time_zone: "Europe/Lisbon".to_owned(),
//!     region: None,
//! });
//!
//! // Decide: nothing changes. The shell now makes the events durable, and only then applies them.
//! let events = decide(&state, &command, now)?;
//! for (seq, event) in (1..).zip(&events) {
//!     apply(&mut state, At { tenant, epoch: 1, seq, time: now }, event);
//! }
//! assert!(state.is_active());
//!
//! // A suspension of what is suspended is already as asked for.
//! let suspend = Command::SuspendTenant { reason: "unpaid".to_owned() };
//! let events = decide(&state, &suspend, now)?;
//! apply(&mut state, At { tenant, epoch: 1, seq: 2, time: now }, &events[0]);
//! assert!(decide(&state, &suspend, now)?.is_empty());
//! # Ok::<(), provost_kernel::Rejection>(())
//! ```

mod apply;
pub mod check;
pub mod clones;
pub mod command;
mod decide;
pub mod desired;
pub mod enrolment;
pub mod grants;
pub mod license;
pub mod limits;
pub mod liveness;
#[cfg_attr(planted, path = "../tests/models/planted.rs")]
mod planted;
mod rejection;
pub mod renewal;
pub mod session;
pub mod state;
pub mod trust;
pub mod window;

pub use apply::{At, apply};
pub use command::Command;
pub use decide::{answer, decide};
pub use grants::Caller;
pub use rejection::Rejection;
pub use state::{Entities, Entity, EntityKey, State};
