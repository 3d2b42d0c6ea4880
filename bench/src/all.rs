//! The kernel under load, beside what the machine gives without it, in one run.
//!
//! Every figure stands beside a floor: a server made of the same crates, TLS provider and threads
//! that sends the same bytes both ways ([`crate::floor`]). Slices of a figure and of its floor take
//! turns, so that whatever else the machine does meets both alike. The daemon, the floors and the
//! clients are processes of their own; a client verifies every answer.

mod asleep;
mod compare;
mod crowd;
mod fair;
mod house;
mod licenses;
mod machine;
mod rates;
mod suspend;

use std::{path::PathBuf, process::ExitCode, time::Duration};

pub(crate) use self::{
    compare::{Client, rate},
    crowd::Crowd,
    house::{Budgets, House, of_rates},
};
use crate::{
    figure::{Figure, all_met, half_met, table, write_json},
    say,
};

/// What can be chosen about a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How long each rate is measured, and its floor as long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many runtimes are connected at once where it is about many
    #[arg(long, default_value_t = 10_000)]
    runtimes: usize,
    /// How many tenants are registered where it is about those that sleep
    #[arg(long, default_value_t = 1_000_000)]
    asleep: usize,
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<Row>,
    /// A few seconds for each, and small; fails only under half of what is asked
    #[arg(long)]
    short: bool,
    /// Print, and ask nothing
    #[arg(long)]
    show_only: bool,
    /// Where the data folders are made, and removed again
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the figures to this file, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Row {
    /// Framed checks of 64 connections in 64 tenants
    Checks,
    /// The same in one tenant
    OneTenant,
    /// The same with 32 in flight on each connection
    InFlight,
    /// Checks over HTTPS
    Https,
    /// Heartbeats, and what they write
    Heartbeats,
    /// Memory of an idle connected runtime
    Memory,
    /// Everybody reconnects after a restart
    Herd,
    /// A tenant is suspended: when its runtimes hear of it
    Suspend,
    /// First answers for tenants that sleep
    Asleep,
    /// Licenses built and signed
    Licenses,
    /// What one tenant at full blast does to others
    Fairness,
}

/// What a run is like, after `--short` was heard.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    rate_for: Duration,
    runtimes: usize,
    asleep: usize,
    dir: PathBuf,
    short: bool,
}

/// Measures; success only where every figure is as it should be.
///
/// # Errors
/// A wrong answer, or whatever kept it from measuring.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    say(&machine::words());
    let figures = runtime.block_on(measure(args))?;
    say(&table(&figures));
    if let Some(path) = &args.json {
        write_json(&figures, path)?;
    }
    let good = if args.short {
        half_met(&figures)
    } else {
        all_met(&figures)
    };
    Ok(if args.show_only || good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let run = Run::of(args);
    let wanted = |row: Row| args.only.is_empty() || args.only.contains(&row);
    let mut figures = Vec::new();
    let in_one_world = [
        Row::Checks,
        Row::OneTenant,
        Row::InFlight,
        Row::Https,
        Row::Heartbeats,
        Row::Fairness,
        Row::Licenses,
    ];
    if in_one_world.into_iter().any(wanted) {
        let mut house = house::House::open(&run, house::of_rates(), house::Budgets::Wide).await?;
        for row in in_one_world.into_iter().filter(|row| wanted(*row)) {
            let measured = tried(&run, async || match row {
                Row::Checks => rates::checks(&run, &house).await,
                Row::OneTenant => rates::one_tenant(&run, &house).await,
                Row::InFlight => rates::in_flight(&run, &house).await,
                Row::Https => rates::https(&run, &house).await,
                Row::Heartbeats => rates::heartbeats(&run, &house).await,
                Row::Fairness => fair::measure(&run, &mut house).await,
                Row::Licenses => licenses::measure(&run, &house).await,
                // They have worlds of their own.
                Row::Memory | Row::Herd | Row::Suspend | Row::Asleep => Ok(Vec::new()),
            });
            told(&mut figures, measured.await?);
        }
        house.close().await?;
    }
    if wanted(Row::Memory) || wanted(Row::Herd) {
        let rows = (wanted(Row::Memory), wanted(Row::Herd));
        let measured = tried(&run, async || crowd::measure(&run, rows).await);
        told(&mut figures, measured.await?);
    }
    if wanted(Row::Suspend) {
        let measured = tried(&run, async || suspend::measure(&run).await);
        told(&mut figures, measured.await?);
    }
    if wanted(Row::Asleep) {
        let measured = tried(&run, async || asleep::measure(&run).await);
        told(&mut figures, measured.await?);
    }
    Ok(figures)
}

/// Measures; in a short run again, and once more, where it fell short of half of what is asked. Two
/// seconds on a busy machine say little: what is as slow three times is slow.
async fn tried(
    run: &Run,
    mut measure: impl AsyncFnMut() -> anyhow::Result<Vec<Figure>>,
) -> anyhow::Result<Vec<Figure>> {
    for _ in 1..SHORT_TRIES {
        let measured = measure().await?;
        if !run.short || half_met(&measured) {
            return Ok(measured);
        }
        say("below half of what is asked, measured again:");
        say(&table(&measured));
    }
    measure().await
}

/// A long run says what it has as soon as it has it.
fn told(figures: &mut Vec<Figure>, measured: Vec<Figure>) {
    for figure in &measured {
        say(&format!(
            "{}: {:.2} {}",
            figure.figure, figure.value, figure.unit
        ));
    }
    figures.extend(measured);
}

impl Run {
    /// One of which nothing counts but where its folders are.
    pub(crate) fn in_folder(dir: Option<PathBuf>) -> Self {
        Self {
            rate_for: Duration::ZERO,
            runtimes: 0,
            asleep: 0,
            dir: dir.unwrap_or_else(std::env::temp_dir),
            short: false,
        }
    }

    fn of(args: &Args) -> Self {
        let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        if args.short {
            return Self {
                rate_for: SHORT_FOR,
                runtimes: args.runtimes.min(SHORT_RUNTIMES),
                asleep: args.asleep.min(SHORT_ASLEEP),
                dir,
                short: true,
            };
        }
        Self {
            rate_for: Duration::from_secs(args.seconds.max(1)),
            runtimes: args.runtimes,
            asleep: args.asleep,
            dir,
            short: false,
        }
    }
}

/// How often a row is measured that falls short in a short run.
const SHORT_TRIES: u32 = 3;

/// Four slices of each.
const SHORT_FOR: Duration = Duration::from_secs(2);

/// A fifth of what is claimed: of fewer, what their hundred tenants take is a large part of each.
const SHORT_RUNTIMES: usize = 2_000;

/// Made in a second or two.
const SHORT_ASLEEP: usize = 20_000;
