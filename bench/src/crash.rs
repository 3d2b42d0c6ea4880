//! Crash rounds: the real daemon, ended at work again and again, and held against what it
//! acknowledged.
//!
//! One round: start the daemon, hold the log against the books, let 8 clients write consumptions
//! and audit events over HTTPS with client certificates, and end it: by SIGKILL at a random moment,
//! or at a fail point between decide and reply, where it ends itself after a random number of
//! passes ([`plan`]). Some daemons are killed while they are still starting. Every fifty rounds
//! the daemon is stopped in peace, the journal is read once more from the disk, without it, and
//! everything begins anew in an empty folder. Segments are small, so that they end often.
//!
//! What can be chosen by chance is drawn from the seed: moments, amounts, ids, who asks again. When
//! the writes of 8 clients meet is up to the machine, so a seed repeats a run's choices, not its
//! every byte.

mod books;
pub(crate) mod child;
pub(crate) mod fleet;
pub(crate) mod kernel;
mod life;
mod plan;
mod writer;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};

pub(crate) use self::child::serve;
use self::{
    books::Verdict,
    life::Life,
    plan::{Plans, Tally},
};
use crate::say;

/// What can be chosen about a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How many times the daemon is ended at work
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Where chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What goes on from one life of the daemon to the next.
#[derive(Debug)]
struct Seen {
    random: StdRng,
    plans: Plans,
    tally: Tally,
    rounds: u32,
    killed: u32,
    killed_while_starting: u32,
    longest_recovery: Duration,
    verdict: Verdict,
}

/// Runs all rounds; success only where nothing acknowledged was lost and nothing is there twice.
///
/// # Errors
/// Whatever kept the run from its end: it proves nothing then.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let mut seen = Seen::new(args.seed);
    while seen.rounds < args.rounds && seen.verdict.is_clean() {
        let rounds = LIFE_ROUNDS.min(args.rounds - seen.rounds);
        let folder = tempfile::Builder::new()
            .prefix("provost-crash-")
            .tempdir()?;
        let lived = runtime.block_on(Life::new(folder.path(), &mut seen).run(rounds));
        if let Err(error) = lived {
            let folder = folder.keep();
            return Err(error.context(format!(
                "no verdict; the folder is kept: {}",
                folder.display()
            )));
        }
        if !seen.verdict.is_clean() {
            say(&format!("kept for a look: {}", folder.keep().display()));
        }
    }
    seen.verdict.complaints.extend(seen.tally.complaints());
    for complaint in &seen.verdict.complaints {
        say(complaint);
    }
    say(&seen.summary(begun.elapsed()));
    Ok(if seen.verdict.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Seen {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            plans: Plans::default(),
            tally: Tally::new(),
            rounds: 0,
            killed: 0,
            killed_while_starting: 0,
            longest_recovery: Duration::ZERO,
            verdict: Verdict::default(),
        }
    }

    fn summary(&self, took: Duration) -> String {
        let mut lines = self.tally.lines();
        let never = self.tally.never();
        lines.push(if never.is_empty() {
            "fail points that never ended the daemon: none".to_owned()
        } else {
            format!(
                "fail points that never ended the daemon: {}",
                never.join(", ")
            )
        });
        let (at_points, unreached) = self.tally.rounds();
        lines.push(format!(
            "crash: rounds={} killed={} at_fail_points={at_points} fail_point_not_reached={unreached} \
             killed_while_starting={} acknowledged={} unknown={} lost={} doubled={} wrong={} \
             longest_recovery_ms={} took_s={}",
            self.rounds,
            self.killed,
            self.killed_while_starting,
            self.verdict.acknowledged,
            self.verdict.unknown,
            self.verdict.lost.len(),
            self.verdict.doubled,
            self.verdict.complaints.len(),
            self.longest_recovery.as_millis(),
            took.as_secs(),
        ));
        lines.join("\n")
    }
}

/// Long enough that a journal has some hundred segments, a thousand on a fast machine, short enough that reading all of it at
/// the end takes a second.
const LIFE_ROUNDS: u32 = 50;
