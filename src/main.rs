//! One executable for operator, kernel and runtime; what it can do stands in [`provost::cli`].

use std::process::ExitCode;

use clap::Parser as _;
use provost::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse())
}
