//! The shells: actix actors around the kernel's pure machines.
//!
//! `kernel` decides and `actors` does. This crate gives a machine a mailbox, a clock, randomness, a
//! store and a place to run, and takes the consequences of its decisions to disk and to the wire. It
//! holds no rule of the business and opens no file. It is the only crate that knows actix: what
//! leaves it are typed handles, never an address.
//!
//! # Who owns whom, and who may ask whom
//!
//! ```text
//!  listener, admin API            requests go down (ask), each with a deadline
//!        │ ask
//!        ▼
//!     session ──ask──▶ runtime ──ask──▶ tenant ──▶ journal writer, state writer (threads)
//!        ▲                ▲               │
//!        └──── tell ──────┴──── tell ─────┘   notifications go up: bounded, droppable, counted;
//!                                             or a published value (watch) that readers look at
//! ```
//!
//! Nobody asks upwards, so no two actors can ever wait for each other. A guardian owns its actor's
//! only strong address and publishes it behind an `Arc`; [`Guarded`] handles borrow it for one
//! message. An actor lives until it stops itself or its last `Guarded` handle is gone.
//!
//! - The [`Directory`] owns the handles of tenants and live runtimes: one slot each, given back by
//!   who sleeps, never made for who does not exist.
//! - A runtime's actor owns a handle of its tenant and keeps it awake; the tenant knows nothing of
//!   its runtimes' actors. A lost runtime's actor ends once the log says so.
//! - A session owns a handle of its runtime, and watches the tenants it acts for; those watches
//!   keep them awake, and the one not asked about for longest is let go.
//! - An arbiter's wheel belongs to its runtimes' actors together.
//!
//! # What survives a crash
//!
//! An actor's memory does not: after a panic its [`Guardian`] builds another from what the store
//! says, and after too many it gives up and the actor is [`Quarantined`](Health::Quarantined). What
//! stood in the mailbox is lost, and its askers hear [`AskError::Lost`], which promises nothing:
//! whether the command became durable only the store can tell. The process survives every panic of
//! an actor and none of a store thread.
//!
//! # The parts
//!
//! - [`mod@ask`]: the only way to send a message, with a bound that holds and a deadline.
//! - [`Directory`]: where tenants and live runtimes are found, woken, and missed after a restart.
//! - [`TenantHandle`]: one tenant. Its actor alone appends to its log; what is durable is published
//!   as a whole, and checks that take nothing read that and never wait.
//! - [`RuntimeHandle`]: what is volatile about one runtime: pulse, health, session.
//! - [`Gateway`]: the contract's calls, for HTTP and frames alike; who calls is judged on each.
//! - [`budget`]: what a connection and a tenant may ask for, before any of this is reached.
//! - [`mod@session`]: one connection of frames, over any stream.
//! - [`House`]: what all of them share. [`TokenVerifier`] is the daemon's to implement.
//! - [`guardian`]: supervision, because `actix::Supervisor` does not survive a panic.
//! - [`spawner`]: the arbiters (threads) of the daemon, and which tenant lives on which.
//! - [`wheel`]: one timer for all heartbeats of an arbiter, not one for each runtime.
//! - [`clock`] and [`random`]: time and chance as values that tests hold in their hands.
//!
//! What actix 0.13.5 really does is pinned in `tests/actix_traps.rs`; each test there is the reason
//! for one of the rules above. `tests/house/` shows the whole from outside, with time paused.

pub mod ask;
pub mod budget;
pub mod clock;
mod directory;
pub mod fail_points;
mod gateway;
pub mod guardian;
mod hex;
mod house;
pub mod random;
mod runtime;
pub mod session;
pub mod spawner;
mod tenant;
mod trust;
pub mod verifier;
pub mod wheel;

pub use ask::{Ask, AskError, Reply, ask, tell};
pub use budget::{Budget, Budgets, Rates};
pub use clock::{Clock, ManualClock, RuntimeClock, SystemClock};
pub use directory::{Directory, Swept};
pub use gateway::{Facts, Gateway, Kept, Known, Peer, Registered, certificates, is_final_refusal};
pub use guardian::{Guarded, Guardian, Health, Incarnation, RestartPolicy};
pub use house::{House, TimeNote};
pub use random::{Random, SeededRandom, SystemRandom};
pub use runtime::{BeatAnswer, LiveRuntime, Opened, Opening, RuntimeHandle, Younger};
pub use spawner::{Arbiters, SpawnError, Spawner};
pub use tenant::{AuditItem, Executed, Guard, Meta, TenantError, TenantHandle, license_document};
pub use trust::TrustBoard;
pub use verifier::{TokenRefused, TokenVerifier, Verifying, Vouched};
pub use wheel::{LocalWheel, Wheel};
