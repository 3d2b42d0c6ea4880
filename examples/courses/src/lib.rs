//! The pilot runtime: a small course platform for individuals, and the issuer its users log in at.
//!
//! It is what a product developer writes on top of Provost: it knows the connector's local API
//! (loopback HTTP, JSON) and nothing else, and depends on none of Provost's crates. It renders,
//! executes, reports and obeys. It never authenticates a person itself, never decides access,
//! never works for a user without a resolve, and never shows course content without a check.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let config = provost_courses::Config {
//!     listen: "127.0.0.1:0".parse()?,
//!     connector_url: "http://127.0.0.1:7481".to_owned(),
//!     operator_tenant: "0198c0de-0000-7000-8000-000000000001".parse()?,
//!     issuer_url: "http://127.0.0.1:7482".to_owned(),
//!     client_id: "courses".to_owned(),
//!     data: "./courses-data".into(),
//!     content: None,
//!     public_url: None,
//!     session_ttl_minutes: 480,
//! };
//! provost_courses::run(
//!     config,
//!     |address| tracing::info!(%address, "listening"),
//!     std::future::pending(),
//! )
//! .await?;
//! # Ok(())
//! # }
//! ```

mod accounts;
mod app;
mod config;
mod connector;
mod content;
pub mod drive;
pub mod issuer;
mod login;
mod secret;
mod serve;
mod sessions;
mod web;

pub use app::{RunError, run};
pub use config::Config;
