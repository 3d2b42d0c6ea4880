//! Half load for a long time: nothing may go wrong, and memory must stay where it is.
//!
//! 64 connections ask checks in half of the time, each answer verified, while a thousand runtimes
//! beat. A minute goes before the time that is asked for: connections are made, caches and the
//! allocator's arenas fill, every runtime beats six times. From then on the daemon's memory is looked
//! at every few seconds; what counts is the slope of the line through the looks.

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
    /// How long, after a minute that is not counted
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
    let warming = Instant::now();
    let mut warmed = Ran::default();
    while warming.elapsed() < WARM_UP {
        spell(&mut client, &mut warmed).await?;
    }
    let begun = Instant::now();
    let whole = Duration::from_secs(60 * args.minutes.max(1));
    let mut looks: Vec<Look> = Vec::new();
    let mut sum = Ran::default();
    while begun.elapsed() < whole {
        let memory = to_f64(process::memory(house.pid()?)?) / MIB;
        looks.push((begun.elapsed().as_secs_f64() / 60.0, memory));
        spell(&mut client, &mut sum).await?;
    }
    let standing = crowd.standing().await?;
    let size = crowd.size();
    client.stop().await?;
    crowd.stop().await?;
    house.close().await?;
    let (first, last) = (looks[0].1, looks[looks.len() - 1].1);
    Ok(vec![
        Figure::new("soak: minutes", begun.elapsed().as_secs_f64() / 60.0, "min"),
        Figure::new(
            "soak: answers, all verified",
            to_f64(warmed.answers + sum.answers),
            "checks",
        ),
        Figure::new("soak: checks while asking", rate(sum), "/s"),
        Figure::new(
            "soak: runtimes that left",
            to_f64((size - standing) as u64),
            "runtimes",
        )
        .at_most(0.0),
        Figure::new("soak: memory after the warm-up", first, "MiB"),
        Figure::new("soak: memory at the end", last, "MiB"),
        Figure::new("soak: slope of memory", slope(&looks), "MiB/min").at_most(SLOPE_MAX),
    ])
}

/// Asks and rests, for one look's time.
async fn spell(client: &mut Client, sum: &mut Ran) -> anyhow::Result<()> {
    for _ in 0..SLICES_A_LOOK {
        let ran = client.run(SLICE, 0).await?;
        sum.answers += ran.answers;
        sum.took_us += ran.took_us;
        tokio::time::sleep(SLICE).await;
    }
    Ok(())
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

/// Measured: most of the memory is there after 15 seconds, the last half MiB comes within the first
/// minute, and then the line is flat. Without this minute a run of one minute would measure that.
const WARM_UP: Duration = Duration::from_secs(60);

/// MiB in a minute. What a flat line shows is 0.05 either way; a leak of a single byte in each of the
/// million checks of a minute, or of a hundred in each of its 6,000 heartbeats, would be over it.
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
