//! How soon a kernel with a long memory works again after a kill, what building its state and its
//! indexes again takes, and how much room everything takes.
//!
//! The folder is filled through the real store ([`crate::fill`]); then the real daemon runs on it,
//! is killed while 8 clients write, and is started again: the time from its start to one check
//! answered and one event acknowledged as durable, both over HTTPS from outside.

mod room;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use provost_store::{Opened, Store};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use self::room::{Room, wait_until_compressed};
use crate::{
    crash::{child, child::Daemon, fleet::Fleet, kernel::Kernel},
    figure::{Figure, all_met, table, write_json},
    fill::{self, Filled},
    say,
};

/// What can be chosen about a measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How many events the journal holds
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Of how many tenants they are
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// An empty or missing folder; it keeps the data, for `query`
    #[arg(long)]
    dir: PathBuf,
    /// How often the daemon is killed and started
    #[arg(long, default_value_t = 3)]
    starts: u32,
    /// Also write the figures to this file, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Measures; success only where every figure is as it should be.
///
/// # Errors
/// Whatever kept it from measuring.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    fs::create_dir_all(&args.dir)?;
    runtime.block_on(child::initialise(&args.dir))?;
    let data = child::data_dir(&args.dir);
    let filled = fill::fill(&args.dir, &data, args.events, args.tenants)?;
    say(&format!(
        "filled: {} events of {} tenants, {} bytes of JSON, in {:.0} s",
        filled.events,
        filled.tenants.len(),
        filled.json_bytes,
        filled.took_s
    ));
    let mut figures = vec![
        Figure::new("events", to_f64(filled.events), "events"),
        Figure::new("bytes of one event", mean_bytes(&filled), "bytes"),
        Figure::new(
            "filled through the store",
            to_f64(filled.events) / filled.took_s,
            "events/s",
        ),
    ];
    let begun = Instant::now();
    wait_until_compressed(&data)?;
    let waited = begun.elapsed().as_secs_f64();
    figures.push(Figure::new("wait for the last segment's form", waited, "s"));
    let starts = runtime.block_on(starts(&args.dir, args.starts.max(1)))?;
    let worst = starts.into_iter().max().unwrap_or_default().as_secs_f64();
    let start = "kill -9 under load, to a check and a durable event";
    figures.push(Figure::new(start, worst, "s").at_most(START_S_MAX));
    figures.extend(rebuilds(&data, &filled)?);
    figures.extend(Room::of(&data)?.figures(&filled));
    say(&table(&figures));
    if let Some(path) = &args.json {
        write_json(&figures, path)?;
    }
    Ok(if all_met(&figures) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Kills the daemon under load and starts it again, some times; how long each start took.
async fn starts(dir: &Path, count: u32) -> anyhow::Result<Vec<Duration>> {
    let data = child::data_dir(dir);
    let mut random = StdRng::seed_from_u64(1);
    let mut daemon = Daemon::plain(dir)?;
    let mut kernel = Kernel::new(daemon.ready().await?, &data)?;
    let mut fleet = Fleet::enroll(&kernel, &mut random).await?;
    let mut took = Vec::new();
    for number in 1..=count {
        let mut writers = JoinSet::new();
        for writer in fleet.writers(&kernel, Vec::new(), &mut random)? {
            writers.spawn(writer.run());
        }
        tokio::time::sleep(LOAD).await;
        daemon.kill().await?;
        let mut acknowledged = 0;
        while let Some(wrote) = writers.join_next().await {
            acknowledged += wrote.context("a writer panicked")?.acknowledged.len();
        }
        let begun = Instant::now();
        daemon = Daemon::plain(dir)?;
        kernel = Kernel::new(daemon.ready().await?, &data)?;
        let ready = begun.elapsed();
        fleet.check_and_record(&kernel, &mut random).await?;
        let all = begun.elapsed();
        say(&format!(
            "start {number}: killed after {acknowledged} acknowledged; ready after {} ms, a check \
             and a durable event after {} ms",
            ready.as_millis(),
            all.as_millis()
        ));
        took.push(all);
    }
    daemon.stop().await?;
    Ok(took)
}

/// Builds the state, then the indexes, again.
fn rebuilds(data: &Path, filled: &Filled) -> anyhow::Result<Vec<Figure>> {
    let (opened, took) = open_and_close(data, true)?;
    let state = to_f64(opened.replayed) / took.as_secs_f64();
    let plain = open_and_close(data, false)?.1;
    for entry in fs::read_dir(data.join("journal"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "idx") {
            fs::remove_file(path)?;
        }
    }
    let (opened, took) = open_and_close(data, false)?;
    anyhow::ensure!(opened.indexes_rebuilt > 0, "no index was built again");
    let indexes = to_f64(filled.events) / took.saturating_sub(plain).as_secs_f64();
    Ok(vec![
        Figure::new("state built again", state, "events/s"),
        Figure::new("all of it", took_s(filled, state), "s"),
        Figure::new("indexes built again", indexes, "events/s"),
        Figure::new("all of them", took_s(filled, indexes), "s"),
        Figure::new("a start of the store alone", plain.as_secs_f64(), "s"),
    ])
}

fn open_and_close(data: &Path, rebuild: bool) -> anyhow::Result<(Opened, Duration)> {
    let begun = Instant::now();
    let (store, opened) = Store::open(data, fill::options(rebuild))?;
    let took = begun.elapsed();
    store.close(CLOSE_PATIENCE)?;
    Ok((opened, took))
}

fn took_s(filled: &Filled, rate: f64) -> f64 {
    to_f64(filled.events) / rate
}

fn mean_bytes(filled: &Filled) -> f64 {
    to_f64(filled.json_bytes) / to_f64(filled.events)
}

/// Exact up to 2^53, and a figure is rounded anyway.
#[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}

/// As the issue says.
const START_S_MAX: f64 = 5.0;

/// Some thousand events that the state may not have on the disk yet.
const LOAD: Duration = Duration::from_secs(2);

/// Writing out a rebuilt state takes well under this.
const CLOSE_PATIENCE: Duration = Duration::from_secs(600);
