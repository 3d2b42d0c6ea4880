//! The house of actors from outside: directory, gateway and sessions over a store in memory, with
//! time paused. Supervision, order, deadlines, back-pressure; the rules themselves are tested in
//! `kernel`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod audit;
mod budgets;
mod checkpoint;
mod clones;
mod directives;
mod liveness;
mod opening;
mod people;
mod pipeline;
mod renewal;
mod session;
mod sleep;
mod stand_ins;
mod standing;
mod store;
mod supervision;
mod trust;
mod turns;
mod world;
