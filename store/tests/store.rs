//! The store from outside, through its public doors: one suite for every backend, and what a crash
//! or a damaged file leaves.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

#[path = "store/answers.rs"]
mod answers;
#[path = "store/backup.rs"]
mod backup;
#[path = "store/commands.rs"]
mod commands;
#[path = "store/conformance.rs"]
mod conformance;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/crowded.rs"]
mod crowded;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/directory.rs"]
mod directory;
#[path = "store/evidence.rs"]
mod evidence;
#[path = "store/lists.rs"]
mod lists;
#[path = "store/log.rs"]
mod log;
#[path = "store/model.rs"]
mod model;
#[path = "store/queries.rs"]
mod queries;
#[path = "store/reads.rs"]
mod reads;
#[path = "store/rebuild.rs"]
mod rebuild;
#[path = "store/revoked.rs"]
mod revoked;
#[path = "store/rounds.rs"]
mod rounds;
#[path = "store/sealed.rs"]
mod sealed;
#[path = "store/size.rs"]
mod size;
#[path = "store/sled_damage.rs"]
mod sled_damage;
