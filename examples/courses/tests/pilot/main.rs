//! The pilot from outside: a browser on one side, a local API that keeps to the contract on the other.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod governance;
mod issuer;
mod learning;
mod local_api;
mod login;
mod world;
