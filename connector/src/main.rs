//! The connector as a process of its own; the same as `provost connector …`.

use std::process::ExitCode;

use clap::Parser as _;
use provost_connector::cli::{ConnectorCommand, execute};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    execute(ConnectorCommand::parse()).await
}
