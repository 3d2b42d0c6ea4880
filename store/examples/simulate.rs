//! Runs the journal on a faulty disk, seed by seed, and fails unless everything holds:
//! `cargo run --release -p provost-store --example simulate -- --from N --seeds M`.
//!
//! `--sabotage BUG` plants one of five bugs, to see that it is found; `--threads N` changes how fast
//! the answer comes and nothing else. `docs/reliability.md` says what is proved.

#[path = "../tests/store/commands.rs"]
mod commands;
#[path = "../tests/store/log.rs"]
mod log;
#[path = "../tests/simulation/simulation.rs"]
mod simulation;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    thread,
    time::Instant,
};

use simulation::{Count, Range, Report, Sabotage};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let range = match parse(&arguments) {
        Ok(range) => range,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let report = simulation::run(range);
    let held = report.failed.is_empty();
    match print(range, &report, begun.elapsed().as_secs_f64()) {
        Ok(()) if held => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn parse(arguments: &[String]) -> Result<Range, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut range = Range {
        from: 0,
        seeds: 1_000,
        threads: u64::try_from(threads).unwrap_or(1),
        planted: None,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = value.parse().map_err(|_| format!("{value} is no number"));
        match name.as_str() {
            "--from" => range.from = number?,
            "--seeds" => range.seeds = number?,
            "--threads" => range.threads = number?.max(1),
            "--sabotage" => {
                let known = Sabotage::ALL.iter().find(|(name, _)| name == value);
                let (_, bug) = known.ok_or_else(|| format!("{value} is no known bug"))?;
                range.planted = Some(*bug);
            }
            other => return Err(format!("{other} is no known option")),
        }
    }
    Ok(range)
}

fn print(range: Range, report: &Report, seconds: f64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let planted = range.planted.and_then(|bug| {
        let known = Sabotage::ALL.iter().find(|(_, known)| *known == bug);
        known.map(|(name, _)| format!(" --sabotage {name}"))
    });
    let planted = planted.unwrap_or_default();
    for (seed, what) in report.failed.iter().take(FAILURES_SHOWN) {
        writeln!(out, "seed {seed} failed {what}")?;
        writeln!(out, "  alone: {COMMAND} --from {seed} --seeds 1{planted}")?;
    }
    let Report { tally, seeds, .. } = report;
    write!(out, "{tally}")?;
    writeln!(out, "digest of all disks: {:08x}", report.digest)?;
    writeln!(
        out,
        "{seeds} seeds from {}, {} failed: {} operations, {} crashes, {} acknowledged, {} lost, \
         {} wrong, {seconds:.1} seconds",
        range.from,
        report.failed.len(),
        tally.of(Count::Operations),
        tally.crashes(),
        tally.of(Count::Acknowledged),
        tally.of(Count::Lost),
        tally.of(Count::Wrong),
    )
}

const USAGE: &str = "simulate [--from N] [--seeds M] [--threads T] [--sabotage ack-before-sync|\
                     apply-before-journal|skip-dir-sync|cut-middle|lose-group]";
const COMMAND: &str = "cargo run --release -p provost-store --example simulate --";
/// The first few are enough to begin with.
const FAILURES_SHOWN: usize = 10;
