//! Kills a writer at random moments and checks that nothing acknowledged is lost:
//! `cargo run --release -p provost-store --example crash_rounds -- --rounds 200 --seed N`.
//!
//! The writer is this program itself, started again with `--write FOLDER`.

#[path = "../tests/store/answers.rs"]
mod answers;
#[path = "../tests/store/commands.rs"]
#[expect(dead_code, reason = "shared with the tests, which ask for more")]
mod commands;
#[path = "../tests/store/log.rs"]
mod log;
#[path = "../tests/store/rounds.rs"]
mod rounds;
#[path = "../tests/store/writing.rs"]
mod writing;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    if let Some(dir) = value("--write") {
        return match writing::write_until_killed(Path::new(dir), 4) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let count = value("--rounds").and_then(|text| text.parse().ok());
    let seed = value("--seed").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    let mut out = std::io::stdout();
    // Said first, so that it is known when a round panics.
    let begun = writeln!(out, "seed {seed}");
    let program = std::env::current_exe().expect("this program has a path");
    let summary = rounds::rounds(count.unwrap_or(100), seed, |dir| {
        let mut writer = Command::new(&program);
        writer.arg("--write").arg(dir);
        writer
    });
    match begun.and_then(|()| writeln!(out, "{summary}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
