//! Evidence before tools that are not ours, and before histories that were tampered with.

#![expect(clippy::unwrap_used, reason = "helpers of a test end it by panicking")]

mod notes;
mod properties;
mod theirs;
mod tree;
