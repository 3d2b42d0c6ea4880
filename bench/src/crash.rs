//! Crash rounds: the real daemon, SIGKILLed at random moments while clients write.
//!
//! One round: start the daemon, hold the log against the books, let 8 clients write consumptions
//! and audit events over HTTPS with client certificates, kill. Some daemons are killed while they
//! are still starting. At the end the daemon is stopped in peace and the journal is read once more
//! from the disk, without it.
//!
//! What can be chosen by chance is drawn from the seed: moments, amounts, ids, who asks again. When
//! the writes of 8 clients meet is up to the machine, so a seed repeats a run's choices, not its
//! every byte.

mod books;
mod child;
mod fleet;
mod kernel;
mod writer;

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

pub(crate) use self::child::serve;
use self::{
    books::{Books, Verdict},
    child::Daemon,
    fleet::Fleet,
    kernel::Kernel,
};

/// What can be chosen about a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How many times the daemon is killed at work
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Where chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What a run has seen.
#[derive(Debug, Default)]
struct Seen {
    rounds: u32,
    killed_while_starting: u32,
    longest_recovery: Duration,
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
    let folder = tempfile::Builder::new()
        .prefix("provost-crash-")
        .tempdir()?;
    let ran = runtime.block_on(Run::new(args, folder.path()).all());
    match ran {
        Ok((seen, verdict)) => {
            let held = verdict.holds();
            if !held {
                say(&format!("kept for a look: {}", folder.keep().display()));
            }
            for complaint in &verdict.complaints {
                say(complaint);
            }
            say(&summary(&seen, &verdict));
            Ok(if held {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            let folder = folder.keep();
            Err(error.context(format!(
                "no verdict; the folder is kept: {}",
                folder.display()
            )))
        }
    }
}

/// One run, from an empty folder to its verdict.
struct Run<'a> {
    args: &'a Args,
    folder: &'a Path,
    random: StdRng,
    seen: Seen,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args, folder: &'a Path) -> Self {
        let random = StdRng::seed_from_u64(args.seed);
        Self {
            args,
            folder,
            random,
            seen: Seen::default(),
        }
    }

    async fn all(mut self) -> anyhow::Result<(Seen, Verdict)> {
        child::initialise(self.folder).await?;
        let (daemon, kernel) = self.start().await?;
        let mut fleet = Fleet::enroll(&kernel, &mut self.random).await?;
        let mut books = Books::new(fleet.tenants());
        daemon.kill().await?;

        for round in 1..=self.args.rounds {
            let (daemon, kernel) = self.start().await?;
            books.check(&kernel).await?;
            self.work(&kernel, &mut fleet, &mut books, daemon).await?;
            self.seen.rounds = round;
            if round % PROGRESS_EVERY == 0 {
                say(&format!(
                    "round {round}: {} acknowledged",
                    books.acknowledged()
                ));
            }
        }

        let (daemon, kernel) = self.start().await?;
        books.check(&kernel).await?;
        daemon.stop().await?;
        let data = child::data_dir(self.folder);
        let verdict = tokio::task::spawn_blocking(move || books.finish(&data)).await??;
        Ok((self.seen, verdict))
    }

    /// Starts a daemon; one in eight is killed before it is ready, and started again.
    async fn start(&mut self) -> anyhow::Result<(Daemon, Kernel)> {
        if self.random.random_ratio(1, 8) {
            let early = Duration::from_micros(self.random.random_range(0..EARLY_US_MAX));
            let daemon = Daemon::spawn(self.folder)?;
            tokio::time::sleep(early).await;
            daemon.kill().await?;
            self.seen.killed_while_starting += 1;
        }
        let began = Instant::now();
        let mut daemon = Daemon::spawn(self.folder)?;
        let addresses = daemon.ready().await?;
        self.seen.longest_recovery = self.seen.longest_recovery.max(began.elapsed());
        let kernel = Kernel::new(addresses, &child::data_dir(self.folder))?;
        Ok((daemon, kernel))
    }

    /// Lets everybody write until the daemon is killed.
    async fn work(
        &mut self,
        kernel: &Kernel,
        fleet: &mut Fleet,
        books: &mut Books,
        daemon: Daemon,
    ) -> anyhow::Result<()> {
        let again = books.take_unknown(|| self.random.random_ratio(1, 2));
        let mut writers = JoinSet::new();
        for writer in fleet.writers(kernel, again, &mut self.random)? {
            writers.spawn(writer.run());
        }
        let moment = Duration::from_millis(self.random.random_range(MOMENT_MS));
        tokio::time::sleep(moment).await;
        daemon.kill().await?;
        while let Some(wrote) = writers.join_next().await {
            books.enter(wrote.context("a writer panicked")?);
        }
        Ok(())
    }
}

fn summary(seen: &Seen, verdict: &Verdict) -> String {
    format!(
        "crash: rounds={} acknowledged={} unknown={} killed_while_starting={} lost={} doubled={} \
         wrong={} longest_recovery_ms={}",
        seen.rounds,
        verdict.acknowledged,
        verdict.unknown,
        seen.killed_while_starting,
        verdict.lost.len(),
        verdict.doubled,
        verdict.complaints.len(),
        seen.longest_recovery.as_millis(),
    )
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn say(text: &str) {
    println!("{text}");
}

/// From the first handshakes on to some hundred groups.
const MOMENT_MS: std::ops::Range<u64> = 20..450;

/// A release build is ready within about as long, a debug build later: both die half open.
const EARLY_US_MAX: u64 = 120_000;

/// Often enough to see that it goes on.
const PROGRESS_EVERY: u32 = 25;
