//! The runtime's side: what stands beside a product, wherever it runs, and speaks for the kernel.
//!
//! A product asks whether it may, says what it did, and obeys. The connector carries that: it
//! enrolls once ([`enroll`]), dials out and never listens to the world, pulls a signed license for
//! every tenant the runtime acts for, and answers the product on loopback ([`Connector`]). When the
//! kernel is away, it goes on with what the license says, counts down where a person can see it,
//! and spools what happens until the kernel is back.
//!
//! # The parts
//!
//! - `link` holds one session with the kernel and dials again when it is lost. It retries nothing.
//! - `core` is what is known: facts, tenants, resolves, the spool, the time floor. What the session
//!   hears goes on disk there *before* it is acted on, and is confirmed after.
//! - `evidence` keeps what the kernel signed of the tenant's log, so that no other history can take
//!   its place unseen.
//! - `node` answers: what it can decide alone through the kernel's own evaluator, what it must ask,
//!   and what it reports. Every verdict given here is durable in the spool before it is answered.
//! - `local` is the door: the five v0.1 calls, byte for byte as the kernel has them.
//!
//! # What it never does
//!
//! It never lets a unit be taken without the kernel (leases are a later part), never takes a license
//! that is older than one it has seen, never trusts a local clock that was set back, never drops an
//! event to make room, and never writes an external token anywhere. A bad license changes nothing:
//! the last good one stays, and the refusal is an event.
//!
//! # As a library
//!
//! ```no_run
//! use provost_connector::{Config, Connector, enroll};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let data = std::path::Path::new("/var/lib/provost-connector");
//! enroll("pvt1.…", data).await?; // once; harmless to repeat
//!
//! let connector = Connector::start(Config::new(data)).await?;
//! println!("the product asks http://{}", connector.local_addr());
//! println!("{}", connector.status().to_text());
//! connector.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod check;
pub mod cli;
mod clock;
mod config;
mod core;
mod durable;
mod enroll;
mod event;
mod evidence;
mod floor;
mod http;
mod identity;
mod link;
mod local;
mod mode;
mod node;
mod recover;
mod renew;
mod resolves;
mod route;
mod run;
mod spool;
mod status;
mod tenants;
#[cfg(test)]
mod testing;
mod trust;

pub use clock::Clock;
pub use config::{Config, ConfigError, LOCAL_PORT};
pub use durable::DurableError;
pub use enroll::{EnrollError, Enrolled, enroll, enroll_through};
pub use http::ExchangeError;
pub use link::LinkError;
pub use mode::{Machine, Mode, Standing, Transition};
pub use route::{ProxyError, ProxySetting};
pub use run::{Connector, RunError, run};
pub use spool::SpoolError;
pub use status::{
    CertificateStatus, CheckpointStatus, ForkStatus, LinkStatus, SpoolStatus, Status, TenantStatus,
};
