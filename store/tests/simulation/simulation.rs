//! A machine that fails, simulated: the real journal over a faulty disk in memory, real events, a
//! model of the state behind it, and an oracle of what was acknowledged.
//!
//! Everything follows from the seed: no thread, no clock, no order of a hash map. What it proves and
//! what it does not stands in `docs/reliability.md`.

mod damage;
mod disk;
mod machine;
mod old;
mod oracle;
mod random;
mod sabotage;
mod state;
mod steps;
pub(crate) mod tally;
mod workload;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use self::{
    machine::{Ending, Machine},
    oracle::{Failure, wrong},
};
pub(crate) use self::{
    sabotage::Sabotage,
    tally::{Count, Tally},
};

/// Which seeds are run, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) seeds: u64,
    pub(crate) threads: u64,
    pub(crate) planted: Option<Sabotage>,
}

/// What a range of seeds came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) seeds: u64,
    pub(crate) tally: Tally,
    /// The first seeds that failed, in order, and what was wrong.
    pub(crate) failed: Vec<(u64, String)>,
    /// A checksum over what stood on all disks at the end.
    pub(crate) digest: u32,
}

/// Runs every seed of a range; the totals do not depend on the number of threads.
pub(crate) fn run(range: Range) -> Report {
    let part = |thread: u64| {
        let mut report = Report::default();
        let until = range.from.saturating_add(range.seeds);
        for seed in (range.from..until).filter(|seed| seed % range.threads == thread) {
            report.take_in(seed, run_seed(seed, range.planted));
        }
        report
    };
    let parts = thread::scope(|scope| {
        let begin = |thread| scope.spawn(move || part(thread));
        let running: Vec<_> = (0..range.threads).map(begin).collect();
        running
            .into_iter()
            .map(|part| part.join().expect("panics of a seed are caught"))
            .collect::<Vec<_>>()
    });
    let mut all = Report::default();
    for part in parts {
        all.seeds += part.seeds;
        all.tally.take_in(&part.tally);
        all.failed.extend(part.failed);
        all.digest ^= part.digest;
    }
    all.failed.sort();
    all
}

/// What one seed came to.
struct Outcome {
    tally: Tally,
    digest: u32,
    failure: Option<Failure>,
}

impl Report {
    fn take_in(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.tally.take_in(&outcome.tally);
        self.digest ^= outcome.digest.rotate_left(u32::from(seed.to_le_bytes()[0]));
        if let Some(failure) = outcome.failure {
            self.tally.hit(failure.count);
            let step = outcome.tally.of(Count::Operations);
            let what = format!("in step {step}: {}", failure.what);
            self.failed.push((seed, what));
        }
    }
}

fn run_seed(seed: u64, planted: Option<Sabotage>) -> Outcome {
    let mut machine = Machine::new(seed, planted);
    let lived = catch_unwind(AssertUnwindSafe(|| machine.live()));
    let failure = match lived {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(wrong("a panic")),
    };
    let mut tally = std::mem::take(&mut machine.tally);
    tally.take_in(&machine.disk.take_tally());
    Outcome {
        tally,
        digest: machine.disk.digest(),
        failure,
    }
}

impl Machine {
    /// Everything that happens on one machine.
    fn live(&mut self) -> Result<(), Failure> {
        let steps = STEPS_MIN + self.random.below(STEPS_MORE);
        let mut process = self.start(Ending::Clean, true)?;
        for step in 1..=steps {
            let forced = step == steps / 3 || step == steps * 2 / 3;
            let ended = match self.step(&mut process)? {
                None if forced => Some(self.append_in_the_dark(&mut process)?),
                ended => ended,
            };
            if let Some(ending) = ended {
                drop(process);
                process = self.start(ending, true)?;
            }
        }
        drop(process);
        self.rest()
    }

    /// The end: once more without power, then on a disk that works, everything from the start.
    fn rest(&mut self) -> Result<(), Failure> {
        drop(self.start(Ending::PowerCut, false)?);
        self.state.clear();
        let mut process = self.start(Ending::Clean, false)?;
        self.disk.set_nearly_full(false);
        if !self.is_spool() {
            self.state.check_roots(&self.workload)?;
        }
        let before = self.oracle.events();
        self.append_plainly(&mut process)?;
        if self.oracle.events() == before {
            return Err(wrong("a disk that works takes nothing in"));
        }
        drop(process);
        let process = self.start(Ending::Clean, false)?;
        self.verify(&process.journal)?;
        let crashes = self.tally.crashes();
        if crashes < CRASHES_MIN {
            return Err(wrong(format!("only {crashes} crashes")));
        }
        Ok(())
    }
}

/// Every seed does at least so much.
const STEPS_MIN: u64 = 200;
/// What varies.
const STEPS_MORE: u64 = 60;
/// Two are forced into every seed, and one at its end.
const CRASHES_MIN: u64 = 2;
