//! Half load for a long time: nothing may go wrong, and memory must stay where it is.
//!
//! 64 connections ask checks in half of the time, each answer verified, while a thousand runtimes
//! beat. Every few seconds the daemon's memory is looked at; what counts is the slope of the line
//! through the looks after the first quarter, in which caches fill.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    all::{Budgets, Client, Crowd, House, Run, of_rates, rate},
    figure::{Figure, all_met, table, write_json},
    load::{Ran, Server},
    process, say,
    start::to_f64,
};

/// What can be chosen about a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many runtimes are connected and beat
    #[arg(long, default_value_t = 1_000)]
    runtimes: usize,
    /// Where the data folder is made, and removed again
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the figures to this file, one JSON object a line
    #[arg(long)]
    json: Option<PathBuf>,
}

/// When memory was looked at, in minutes, and how much there was, in MiB.
type Look = (f64, f64);

/// Runs; success only where everything was answered, everybody stands and memory is flat.
///
/// # Errors
/// A wrong answer, or whatever kept it from asking.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let figures = runtime.block_on(soak(args))?;
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

async fn soak(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let run = Run::in_folder(args.dir.clone());
    let house = House::open(&run, of_rates(), Budgets::Wide).await?;
    let members = house.world.one_of_each(CONNECTIONS);
    let mut client = Client::start(&house.clients(Server::Checks, members.clone(), 1)).await?;
    let mut crowd = Crowd::without(&house, args.runtimes, &members).await?;
    crowd.aim(&house.port()).await?;
    crowd.dial().await?;
    let begun = Instant::now();
    let whole = Duration::from_secs(60 * args.minutes.max(1));
    let mut looks: Vec<Look> = Vec::new();
    let mut sum = Ran::default();
    while begun.elapsed() < whole {
        for _ in 0..SLICES_A_LOOK {
            let ran = client.run(SLICE, 0).await?;
            sum.answers += ran.answers;
            sum.took_us += ran.took_us;
            tokio::time::sleep(SLICE).await;
        }
        let memory = to_f64(process::memory(house.pid()?)?) / MIB;
        looks.push((begun.elapsed().as_secs_f64() / 60.0, memory));
    }
    let standing = crowd.standing().await?;
    let size = crowd.size();
    client.stop().await?;
    crowd.stop().await?;
    house.close().await?;
    let counted = &looks[looks.len() / 4..];
    let (first, last) = (counted[0].1, counted[counted.len() - 1].1);
    Ok(vec![
        Figure::new("soak: minutes", begun.elapsed().as_secs_f64() / 60.0, "min"),
        Figure::new("soak: answers, all verified", to_f64(sum.answers), "checks"),
        Figure::new("soak: checks while asking", rate(sum), "/s"),
        Figure::new(
            "soak: runtimes that left",
            to_f64((size - standing) as u64),
            "runtimes",
        )
        .at_most(0.0),
        Figure::new("soak: memory after the first quarter", first, "MiB"),
        Figure::new("soak: memory at the end", last, "MiB"),
        Figure::new("soak: slope of memory", slope(counted), "MiB/min").at_most(SLOPE_MAX),
    ])
}

/// Of the line with the least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = to_f64(looks.len() as u64).max(1.0);
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(|look| look.0), mean(|look| look.1));
    let over: f64 = looks
        .iter()
        .map(|look| (look.0 - time) * (look.1 - memory))
        .sum();
    let under: f64 = looks.iter().map(|look| (look.0 - time).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

/// As the checks have.
const CONNECTIONS: usize = 64;

/// So long it asks, and so long it rests: half of the time is half load.
const SLICE: Duration = Duration::from_millis(500);

/// A look every three seconds: twenty in a minute.
const SLICES_A_LOOK: u32 = 3;

/// A hundredth of an idle kernel's memory in a minute would double it in an hour and a half; a
/// minute of allocator noise stays below.
const SLOPE_MAX: f64 = 0.5;

const MIB: f64 = 1024.0 * 1024.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_a_flat_one_none() {
        let rising: Vec<Look> = (0..20)
            .map(|at| (f64::from(at), 2.0 * f64::from(at)))
            .collect();
        assert!((slope(&rising) - 2.0).abs() < 1e-9);
        let flat: Vec<Look> = (0..20).map(|at| (f64::from(at), 7.0)).collect();
        assert!(slope(&flat).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
    }
}
