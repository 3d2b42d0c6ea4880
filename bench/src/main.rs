//! What the kernel is measured and tormented with, from outside.
//!
//! `provost-bench crash` ends the real daemon in the middle of its work, again and again, and holds
//! what it acknowledged against what it kept. `provost-bench durable` says how many events a second
//! become durable, beside what the disk gives. `provost-bench start` fills a data folder and says how
//! soon the daemon works again on it after a kill; `provost-bench query` asks it for pages.
//! `provost-bench all` measures the port for runtimes under load, each figure beside a bare floor;
//! `provost-bench soak` keeps half of that load up for a long time.

mod all;
mod crash;
mod durable;
mod figure;
mod fill;
mod fleet;
mod floor;
mod load;
mod process;
mod product;
mod query;
mod soak;
mod start;
mod worker;
mod world;

use std::{num::NonZeroU64, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use provost_protocol::Timestamp;

#[derive(Debug, Parser)]
#[command(name = "provost-bench", version)]
struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// End the daemon at random moments while 8 clients write; lose nothing, double nothing
    Crash(crash::Args),
    /// Measure how many audit events a second become durable, beside bare append + fdatasync
    Durable(durable::Args),
    /// Fill a data folder and measure starts after a kill, rebuilds and room
    Start(start::Args),
    /// Measure pages of a filled folder's logs over random filters
    Query(query::Args),
    /// Measure checks, heartbeats, memory, herds and more, each beside a bare floor
    All(all::Args),
    /// Half load for a long time: no error, flat memory
    Soak(soak::Args),
    /// A floor, as a child of `all`
    #[command(hide = true)]
    Floor,
    /// Clients that ask, as a child of `all`
    #[command(hide = true)]
    Load,
    /// A product with a real connector, as a child of `all`
    #[command(hide = true)]
    Product,
    /// Runtimes that are only there, as a child of `all`
    #[command(hide = true)]
    Fleet,
    /// The daemon itself, as a child of `crash`: so no second executable must be built
    #[command(hide = true)]
    CrashDaemon {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
        /// Beyond how many bytes a segment of its journal ends.
        #[arg(long)]
        segment_bytes: Option<NonZeroU64>,
    },
}

fn main() -> ExitCode {
    let done = match Bench::parse().command {
        Command::Crash(args) => crash::run(&args),
        Command::Durable(args) => durable::run(&args),
        Command::Start(args) => start::run(&args),
        Command::Query(args) => query::run(&args),
        Command::All(args) => all::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Floor => floor::serve(),
        Command::Load => load::serve(),
        Command::Product => product::serve(),
        Command::Fleet => fleet::serve(),
        Command::CrashDaemon {
            config,
            segment_bytes,
        } => crash::serve(&config, segment_bytes),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The time as the system has it.
fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command's complaint")]
fn say_error(text: &str) {
    eprintln!("{text}");
}
