//! The journal from outside: through its public doors, on a real folder.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

#[path = "journal/compression.rs"]
mod compression;
#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/disk.rs"]
mod disk;
#[path = "journal/faults.rs"]
mod faults;
#[path = "journal/folder.rs"]
mod folder;
#[path = "journal/model.rs"]
mod model;
#[path = "journal/reading.rs"]
mod reading;
#[path = "journal/recovery.rs"]
mod recovery;
#[path = "journal/snapshot.rs"]
mod snapshot;
#[path = "journal/stops.rs"]
mod stops;
#[path = "journal/writer.rs"]
mod writer;
