//! What the kernel is measured and tormented with, from outside.
//!
//! `provost-bench crash` kills the real daemon in the middle of its work, again and again, and
//! holds what it acknowledged against what it kept.

mod crash;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "provost-bench", version)]
struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill the daemon at random moments while 8 clients write; lose nothing, double nothing
    Crash(crash::Args),
    /// The daemon itself, as a child of `crash`: so no second executable must be built
    #[command(hide = true)]
    CrashDaemon {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Bench::parse().command {
        Command::Crash(args) => crash::run(&args),
        Command::CrashDaemon { config } => crash::serve(&config),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command's complaint")]
fn say_error(text: &str) {
    eprintln!("{text}");
}
