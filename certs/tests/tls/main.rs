//! Real TLS on the loopback: who is let in, who is not, and who is taken for the kernel.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod moving;
mod rotation;
mod server;
mod stream;
mod world;
