//! Whatever a build of this project ever left on a disk, today's opens, reads, verifies and goes on
//! with (docs/formats.md).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as tests"
)]

#[path = "store/answers.rs"]
#[expect(dead_code, reason = "shared with tests that ask for more")]
mod answers;
#[path = "formats/backups.rs"]
mod backups;
#[path = "store/commands.rs"]
mod commands;
#[path = "../../tests/formats/fixture.rs"]
mod fixture;
#[path = "store/log.rs"]
mod log;
#[path = "formats/stamps.rs"]
mod stamps;
#[path = "formats/stored.rs"]
mod stored;
#[path = "formats/written.rs"]
mod written;
