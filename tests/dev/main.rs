//! `provost dev` from outside: the check holds, each sabotage is found at its step, and every page
//! of the pilot stands with its verdict in the journal.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot prepare its test fails it"
)]

mod check;
mod pilot;
