//! `provost store`: the store of a kernel that is stopped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use provost_store::{OpenError, Options, Store};
use serde_json::json;

use super::{
    exit::Failure,
    local::ConfigArgs,
    meter::{Meter, Unit},
    output::{Output, told},
};
use crate::install::Install;

/// Commands about the store.
#[derive(Debug, Args)]
pub(super) struct StoreGroup {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Build the state again from the journal; the kernel must be stopped
    Rebuild(ConfigArgs),
}

/// Does what was asked, and says what came of it.
pub(super) fn run(group: StoreGroup, output: &Output) -> Result<(), Failure> {
    let StoreCommand::Rebuild(args) = group.command;
    rebuild(&args, output)
}

fn rebuild(args: &ConfigArgs, output: &Output) -> Result<(), Failure> {
    let config = args.load()?;
    // A folder that is no installation must not become one.
    Install::load(&config.data_dir).map_err(|error| Failure::Usage(told(&error)))?;
    let options = Options {
        rebuild: true,
        ..options()
    };
    let begun = Instant::now();
    let mut meter = Meter::new(output);
    let opened = Store::open_telling(&config.data_dir, options, &mut |replay| {
        let far = (replay.replayed, replay.total);
        meter.at("rebuilding the state", Unit::Events, far);
    });
    drop(meter);
    let (store, opened) = opened.map_err(refused)?;
    let closed = store.close(CLOSE_PATIENCE);
    closed.map_err(|error| Failure::failed("closing the store", error))?;
    let seconds = begun.elapsed().as_secs_f64();
    let events = opened.replayed;
    let rate = rate(events, begun.elapsed());
    if output.is_json() {
        return output.json(&json!({
            "events": events,
            "seconds": seconds,
            "events_per_second": rate,
        }));
    }
    output.line(&format!(
        "rebuilt: {events} events in {seconds:.1} s, {rate} events a second"
    ))
}

/// How a store is opened where no kernel runs.
pub(super) fn options() -> Options {
    // What was acknowledged is in the journal; the next start copes with the rest.
    Options::new(Arc::new(|_| std::process::abort()))
}

fn refused(error: OpenError) -> Failure {
    match &error {
        OpenError::Journal(locked @ provost_journal::OpenError::Locked { .. }) => {
            Failure::Ruled(format!("{locked}: stop the kernel first"))
        }
        _ => Failure::failed("opening the store", error),
    }
}

/// Events a second; a stretch too short to be measured counts as a millisecond.
fn rate(events: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    events.saturating_mul(1_000) / millis
}

/// The state of a large installation is written out and synced.
const CLOSE_PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_done_in_a_second() {
        assert_eq!(rate(3_000, Duration::from_millis(1_500)), 2_000);
        assert_eq!(rate(5, Duration::ZERO), 5_000);
        assert_eq!(rate(0, Duration::from_secs(9)), 0);
    }
}
