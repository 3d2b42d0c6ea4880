//! Writes into a store until it is killed, one line for each acknowledged event:
//! `cargo run -p provost-store --example writer -- FOLDER [THREADS]`.

#[path = "../tests/store/answers.rs"]
#[expect(dead_code, reason = "shared with the tests, which ask for more")]
mod answers;
#[path = "../tests/store/commands.rs"]
#[expect(dead_code, reason = "shared with the tests, which ask for more")]
mod commands;
#[path = "../tests/store/log.rs"]
mod log;
#[path = "../tests/store/writing.rs"]
mod writing;

use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(dir) = arguments.next().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    let threads = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok());
    match writing::write_until_killed(&dir, threads.unwrap_or(4)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
