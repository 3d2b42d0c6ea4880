//! The daemon from outside: real processes, real TLS, public doors only.

mod bad_certificates;
mod bad_external;
mod bad_frames;
mod bad_requests;
mod bad_tokens;
mod calls;
mod connector;
mod durability;
mod life;
mod process;
mod world;
