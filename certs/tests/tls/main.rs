//! Real TLS on the loopback: who is let in, who is not, and who is taken for the kernel.

mod client;
mod moving;
mod server;
mod world;
