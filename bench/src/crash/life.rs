//! One life of a kernel: from an empty folder through many deaths to its books' verdict.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rand::RngExt as _;
use tokio::task::JoinSet;

use super::{
    Seen,
    books::Books,
    child::{self, Daemon, Ended},
    fleet::Fleet,
    kernel::Kernel,
    plan::{Plan, Point},
    say,
};

/// One kernel's folder, and what the run has seen so far.
#[derive(Debug)]
pub(super) struct Life<'a> {
    folder: &'a Path,
    seen: &'a mut Seen,
}

impl<'a> Life<'a> {
    pub(super) const fn new(folder: &'a Path, seen: &'a mut Seen) -> Self {
        Self { folder, seen }
    }

    /// Lives through so many rounds; its verdict joins that of the run.
    pub(super) async fn run(mut self, rounds: u32) -> anyhow::Result<()> {
        child::initialise(self.folder).await?;
        let (daemon, kernel) = self.start().await?;
        let mut fleet = Fleet::enroll(&kernel, &mut self.seen.random).await?;
        let mut books = Books::new(fleet.tenants());
        daemon.kill().await?;

        for _ in 0..rounds {
            match self.seen.plans.draw(&mut self.seen.random) {
                Plan::Kill(moment) => self.kill_after(moment, &mut fleet, &mut books).await?,
                Plan::Point(point) => self.end_at(point, &mut fleet, &mut books).await?,
            }
            self.seen.rounds += 1;
            if self.seen.rounds.is_multiple_of(PROGRESS_EVERY) {
                let (round, acknowledged) = (self.seen.rounds, books.acknowledged());
                say(&format!(
                    "round {round}: {acknowledged} acknowledged in this life"
                ));
            }
        }

        let (daemon, kernel) = self.start().await?;
        books.check(&kernel).await?;
        daemon.stop().await?;
        let data = child::data_dir(self.folder);
        let verdict = tokio::task::spawn_blocking(move || books.finish(&data)).await??;
        self.seen.verdict.add(verdict);
        Ok(())
    }

    /// A round that ends with SIGKILL.
    async fn kill_after(
        &mut self,
        moment: Duration,
        fleet: &mut Fleet,
        books: &mut Books,
    ) -> anyhow::Result<()> {
        let (daemon, kernel) = self.start().await?;
        books.check(&kernel).await?;
        let mut writers = self.writers(&kernel, fleet, books)?;
        tokio::time::sleep(moment).await;
        daemon.kill().await?;
        self.seen.killed += 1;
        enter_all(&mut writers, books).await
    }

    /// A round that ends at a fail point, wherever the daemon passes it: also while it starts, or
    /// while its log is read.
    async fn end_at(
        &mut self,
        point: Point,
        fleet: &mut Fleet,
        books: &mut Books,
    ) -> anyhow::Result<()> {
        let mut daemon = Daemon::spawn(self.folder, Some(&point))?;
        let mut fired = true;
        if let Some(addresses) = daemon.ready_or_ended(&point).await? {
            let kernel = Kernel::new(addresses, &child::data_dir(self.folder))?;
            let checked = books.check(&kernel).await;
            if let Err(error) = checked {
                // Half read books are read on at the next start.
                let ended = daemon.ended_at(&point, AT_ONCE).await?;
                anyhow::ensure!(ended == Ended::AtPoint, error);
            } else {
                let mut writers = self.writers(&kernel, fleet, books)?;
                fired = daemon.ended_at(&point, POINT_WITHIN).await? == Ended::AtPoint;
                enter_all(&mut writers, books).await?;
            }
        }
        self.seen.tally.enter(point.name, fired);
        Ok(())
    }

    /// Starts a daemon; one in eight is killed before it is ready, and started again.
    async fn start(&mut self) -> anyhow::Result<(Daemon, Kernel)> {
        if self.seen.random.random_ratio(1, 8) {
            let early = Duration::from_micros(self.seen.random.random_range(0..EARLY_US_MAX));
            let daemon = Daemon::spawn(self.folder, None)?;
            tokio::time::sleep(early).await;
            daemon.kill().await?;
            self.seen.killed_while_starting += 1;
        }
        let began = Instant::now();
        let mut daemon = Daemon::spawn(self.folder, None)?;
        let addresses = daemon.ready().await?;
        self.seen.longest_recovery = self.seen.longest_recovery.max(began.elapsed());
        let kernel = Kernel::new(addresses, &child::data_dir(self.folder))?;
        Ok((daemon, kernel))
    }

    /// Lets everybody write until the daemon is no more.
    fn writers(
        &mut self,
        kernel: &Kernel,
        fleet: &mut Fleet,
        books: &mut Books,
    ) -> anyhow::Result<JoinSet<super::writer::Wrote>> {
        let again = books.take_unknown(|| self.seen.random.random_ratio(1, 2));
        let mut writers = JoinSet::new();
        for writer in fleet.writers(kernel, again, &mut self.seen.random)? {
            writers.spawn(writer.run());
        }
        Ok(writers)
    }
}

async fn enter_all(
    writers: &mut JoinSet<super::writer::Wrote>,
    books: &mut Books,
) -> anyhow::Result<()> {
    while let Some(wrote) = writers.join_next().await {
        books.enter(wrote.context("a writer panicked")?);
    }
    Ok(())
}

/// A release build is ready within about as long, a debug build later: both die half open.
const EARLY_US_MAX: u64 = 120_000;

/// Twice the time in which even a debug build passes the commonest points often enough.
const POINT_WITHIN: Duration = Duration::from_millis(900);

/// A connection that broke because the process ended is seen before the process is reaped.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Often enough to see that it goes on.
const PROGRESS_EVERY: u32 = 25;
