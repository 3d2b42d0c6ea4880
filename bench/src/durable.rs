//! How many audit events a second become durable, beside what the disk gives without us.
//!
//! The door is the tenants' own handle (`TenantHandle::record_audit`), on the real directory,
//! arbiters, store, journal and state: everything between a decoded request and its answer. HTTP
//! and TLS are left out on purpose: the floor, a bare append and `fdatasync` of the same bytes in
//! groups of 64, knows neither, and what they cost is another figure.
//!
//! Each of the 64 writers waits for its answer before it writes again, so no more than 64 events
//! are ever under way. Slices of every figure and of its floor take turns, so that what else the
//! machine does meets all of them alike. The fail points are compiled in and not set.

mod floor;
mod house;
mod slow;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use self::{floor::Floor, house::Writers, slow::SlowDisk};
use crate::{
    figure::{Figure, all_met, table, write_json},
    say,
};

/// What can be chosen about a measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How long each figure is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where the data folder is made, and removed again; the disk it lies on is what is measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the figures to this file, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print, and ask nothing of the ratios: for a debug build or a busy machine
    #[arg(long)]
    show_only: bool,
}

/// What was written in how many seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    events: u64,
    took: Duration,
}

/// The sums of a run.
#[derive(Debug, Default)]
struct Sums {
    floor: Sum,
    many: Sum,
    one: Sum,
    slow_floor: Sum,
    slow_many: Sum,
    slow_one: Sum,
}

/// Measures; success only where every ratio is as it should be.
///
/// # Errors
/// Whatever kept it from measuring.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("provost-durable-");
    let folder = match &args.dir {
        Some(dir) => builder.tempdir_in(dir)?,
        None => builder.tempdir()?,
    };
    let sums = actix::System::new().block_on(measure(folder.path(), args.seconds.max(1)))?;
    let figures = sums.figures();
    say(&table(&figures));
    if let Some(path) = &args.json {
        write_json(&figures, path)?;
    }
    Ok(if args.show_only || all_met(&figures) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(folder: &Path, seconds: u64) -> anyhow::Result<Sums> {
    let disk = SlowDisk::default();
    let writers = Writers::open(&folder.join("data"), disk.clone(), WRITERS).await?;
    // Warm: every tenant awake, and events to take the floor's bytes from.
    writers.run(WRITERS, WRITERS, SLICE).await?;
    writers.run(WRITERS, 1, SLICE).await?;
    let events = writers.last_events(WRITERS).await?;
    let mut floor = Floor::new(&folder.join("floor"), &events, disk.clone())?;
    let mut sums = Sums::default();
    let slices = Duration::from_secs(seconds).as_millis() / SLICE.as_millis();
    for _ in 0..slices {
        disk.add(Duration::ZERO);
        sums.floor.add(floor.run(SLICE)?);
        sums.many.add(writers.run(WRITERS, WRITERS, SLICE).await?);
        sums.one.add(writers.run(WRITERS, 1, SLICE).await?);
        disk.add(ADDED);
        sums.slow_floor.add(floor.run(SLICE)?);
        sums.slow_many
            .add(writers.run(WRITERS, WRITERS, SLICE).await?);
        sums.slow_one.add(writers.run(WRITERS, 1, SLICE).await?);
    }
    disk.add(Duration::ZERO);
    writers.close().await?;
    Ok(sums)
}

impl Sum {
    fn add(&mut self, (events, took): (u64, Duration)) {
        self.events += events;
        self.took += took;
    }

    fn rate(self) -> f64 {
        let events = u32::try_from(self.events).unwrap_or(u32::MAX);
        f64::from(events) / self.took.as_secs_f64()
    }
}

impl Sums {
    fn figures(&self) -> Vec<Figure> {
        let figure = |name: &str, sum: Sum, floor: Sum| {
            Figure::new(name, sum.rate(), "events/s").over(floor.rate())
        };
        vec![
            figure("durable, 64 writers, 64 tenants", self.many, self.floor).at_least(0.5),
            figure("durable, 64 writers, one tenant", self.one, self.floor).at_least(0.4),
            figure(
                "durable, 64 tenants, fdatasync + 5 ms",
                self.slow_many,
                self.slow_floor,
            )
            .at_least(0.8),
            figure(
                "durable, one tenant, fdatasync + 5 ms",
                self.slow_one,
                self.slow_floor,
            ),
        ]
    }
}

/// As the issue says.
const WRITERS: usize = 64;

/// As the issue says: what a network disk or a spinning one adds.
const ADDED: Duration = Duration::from_millis(5);

/// Some hundred groups even at 5 ms each, and short beside what else a machine does in a minute.
const SLICE: Duration = Duration::from_millis(500);
