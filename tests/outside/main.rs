//! The daemon from outside: real processes, real TLS, public doors only.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot prepare its test fails it"
)]

mod backup;
mod bad_certificates;
mod bad_events;
mod bad_external;
mod bad_frames;
mod bad_requests;
mod bad_tokens;
mod calls;
mod connector;
mod damage;
mod data;
mod directives;
mod disk;
mod durability;
#[path = "../formats/fixture.rs"]
mod fixture;
mod forks;
#[path = "../formats/installation.rs"]
mod installation;
mod hostile;
mod life;
mod process;
mod proxy;
mod revocation;
mod rotation;
mod recovery;
mod renewal;
mod story;
mod world;
