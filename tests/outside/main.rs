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
mod hostile;
#[path = "../formats/installation.rs"]
mod installation;
mod life;
mod process;
mod proxy;
mod recovery;
mod renewal;
mod revocation;
mod rotation;
mod story;
mod world;
