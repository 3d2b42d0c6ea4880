//! The journal on a disk that tears, drops, reorders, fails, fills up, flips bits and forgets names,
//! for some hundred seeds; and five bugs planted to see that the same run finds them.

#[path = "store/commands.rs"]
mod commands;
#[path = "store/log.rs"]
mod log;
#[path = "simulation/simulation.rs"]
mod simulation;

use simulation::{Count, Range, Report, Sabotage, run, tally::FAULTS};

fn clean(from: u64, seeds: u64, threads: u64) -> Report {
    run(Range {
        from,
        seeds,
        threads,
        planted: None,
    })
}

#[test]
fn no_acknowledged_event_is_lost_and_no_answer_is_wrong_whatever_the_disk_does() {
    let report = clean(0, SEEDS, 2);
    let tally = &report.tally;
    println!("{tally}");
    assert_eq!(report.failed, []);
    assert_eq!(report.seeds, SEEDS);
    assert!(tally.of(Count::Operations) >= 200 * SEEDS);
    assert!(tally.crashes() >= 2 * SEEDS);
    assert!(tally.of(Count::Acknowledged) >= 100 * SEEDS);
    for (name, count) in FAULTS {
        let fired = tally.of(count);
        // 1,000 of each over 2,000 seeds.
        assert!(2 * fired >= SEEDS, "{name}: only {fired} in {SEEDS} seeds");
    }
    let rare = [
        Count::Kept,
        Count::Cut,
        Count::Refused,
        Count::NearlyFull,
        Count::Compressed,
        Count::NotCompressed,
        Count::SegmentsForgotten,
        Count::DamageAtOpen,
        Count::NotOpened,
        Count::Rebuilt,
    ];
    for count in rare {
        assert!(tally.of(count) > 0, "{count:?} never happened");
    }
}

#[test]
fn a_seed_does_the_same_whenever_and_beside_whatever_it_runs() {
    let (once, again) = (clean(7_000, 6, 1), clean(7_000, 6, 2));
    assert_eq!(once.tally, again.tally);
    assert_eq!(once.digest, again.digest);
    assert_ne!(once.digest, clean(7_006, 6, 1).digest);
}

#[test]
fn each_of_the_five_planted_bugs_is_found() {
    for (name, bug) in Sabotage::ALL {
        let found = (0..SABOTAGE_SEEDS_MAX).step_by(FEW).find_map(|from| {
            let report = run(Range {
                from,
                seeds: u64::try_from(FEW).unwrap(),
                threads: 2,
                planted: Some(bug),
            });
            report.failed.first().cloned()
        });
        let (seed, what) = found.unwrap_or_else(|| panic!("{name} is not found"));
        println!("{name}: found by seed {seed} {what}");
    }
}

/// Enough for every kind of fault many times over, in some seconds of a debug build.
const SEEDS: u64 = 200;

/// A bug that takes longer than this to be found is not looked for well enough.
const SABOTAGE_SEEDS_MAX: u64 = 1_000;

/// Seeds at once, until one fails.
const FEW: usize = 8;
