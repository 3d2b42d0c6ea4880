//! Kernel and connector, each in a network namespace of its own, with a cable between them that is
//! cut, loses and delays; and with clocks that are wrong.
//!
//! These tests need root, `ip`, `ping`, `python3` and `faketime`. Whatever is missing fails them.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot prepare its test fails it"
)]

use outside::world;

mod cable;
mod clock;
mod clocks;
mod half_open;
mod loss;
mod narrow;
mod partition;
mod places;
mod site;

#[path = "../foreign/tool.rs"]
#[allow(
    clippy::allow_attributes,
    dead_code,
    reason = "which tools are run is these tests' affair"
)]
mod tool;

// The world of the tests in `outside`, of which these need a part.
#[path = "../outside"]
#[allow(
    clippy::allow_attributes,
    dead_code,
    unused_imports,
    reason = "which parts are used is these tests' affair, and not that of the world"
)]
mod outside {
    pub(crate) mod world;
}
