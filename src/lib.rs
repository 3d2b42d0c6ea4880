//! Provost, the daemon: composition and edges. The rules are in `kernel`, what lasts in `store`,
//! keys in `certs`, actors in `actors`; here are configuration, listeners, HTTP, command line and
//! telemetry.

pub mod admin;
pub mod ca;
pub mod cli;
pub mod config;
pub mod daemon;
#[cfg(feature = "dev")]
pub mod dev;
pub mod idp;
pub mod init;
pub mod install;
pub mod limits;
pub mod notify;
pub mod problem;
pub mod runtime_port;
pub mod telemetry;
