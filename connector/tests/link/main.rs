//! The connector against a kernel's double that speaks real frames over real TLS.

mod local;
mod session;
mod world;
