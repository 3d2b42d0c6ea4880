//! The pilot and its issuer as one standalone executable.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use provost_courses::{Config, issuer, run};
use tracing_subscriber::EnvFilter;

/// A small course platform over the connector's local API
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the course platform
    Web(Config),
    /// Run the issuer where its users log in
    Issuer(issuer::Config),
    /// Write a user file with one user; the password is read from standard input
    IssuerUser {
        /// The file to write
        #[arg(long)]
        users: PathBuf,
        /// The name to log in with
        #[arg(long)]
        username: String,
        /// The name to show
        #[arg(long)]
        name: String,
        /// The user's e-mail address
        #[arg(long)]
        email: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let bound = |address| tracing::info!(%address, "listening");
    match Arguments::parse().command {
        Command::Web(config) => run(config, bound, stopped())
            .await
            .context("the pilot ended")?,
        Command::Issuer(config) => {
            issuer::run(config, bound, stopped())
                .await
                .context("the issuer ended")?;
        }
        Command::IssuerUser {
            users,
            username,
            name,
            email,
        } => {
            let mut password = String::new();
            std::io::stdin()
                .take(256)
                .read_to_string(&mut password)
                .context("no password read")?;
            let password = password.trim_end_matches(['\r', '\n']);
            anyhow::ensure!(
                password.len() >= 8,
                "a password has eight characters at least"
            );
            issuer::write_users(
                &users,
                &[issuer::User::new(&username, &name, &email, password)],
            )?;
        }
    }
    Ok(())
}

/// Resolves at SIGTERM or Ctrl-C.
async fn stopped() {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match terminate.as_mut() {
            Some(terminate) => terminate.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
