//! The kernel before tools that are not ours. A tool that is missing fails its test.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot prepare its test fails it"
)]

use outside::world;

mod certificates;
mod curl;
mod deaths;
mod durability;
mod evidence;
mod licenses;
mod rotation;
mod strace;
mod strangers;
mod tool;
mod trace;
mod walk;

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
