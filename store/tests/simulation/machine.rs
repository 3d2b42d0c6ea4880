//! One simulated machine: its disk, the processes that run on it one after another, and what is
//! known about what they answered.

use provost_journal::{Groups, Journal, Keep, OpenError, Options, Position, Recovery};

use super::{
    disk::{End, Fault, SimDisk, When, folder},
    oracle::{Failure, Oracle, at, lost, wrong},
    random::Random,
    sabotage::Sabotage,
    state::{Folded, NotReplayed},
    tally::{Count, Tally},
    workload::Workload,
};

/// A machine, over all its crashes.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) random: Random,
    pub(crate) disk: SimDisk,
    pub(crate) oracle: Oracle,
    pub(crate) workload: Workload,
    pub(crate) state: Folded,
    pub(crate) tally: Tally,
    pub(crate) planted: Option<Sabotage>,
    pub(crate) options: Options,
}

/// One process: it has the journal open.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) journal: Journal,
    /// Somebody who follows the journal's end.
    pub(crate) tail: Groups,
    /// How many groups the follower has seen.
    pub(crate) tailed: usize,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It closed the journal and left.
    Clean,
    /// It ended itself after an unknown outcome.
    ByItself,
    Kill,
    PowerCut,
}

impl Machine {
    pub(crate) fn new(seed: u64, planted: Option<Sabotage>) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.fork());
        let workload = Workload::new();
        let options = Options {
            segment_bytes_max: 1_024 + random.below(SEGMENT_BYTES_MORE),
            // The disk is nearly full or is not: see `SimDisk::set_nearly_full`.
            free_bytes_min: 1,
            keep: if random.one_in(SPOOLS) {
                Keep::Recent
            } else {
                Keep::Everything
            },
        };
        Self {
            state: Folded::new(&workload),
            random,
            disk,
            oracle: Oracle::new(),
            workload,
            tally: Tally::default(),
            planted,
            options,
        }
    }

    /// Whether the journal is a spool, which forgets: it has no state to be folded into.
    pub(crate) fn is_spool(&self) -> bool {
        self.options.keep == Keep::Recent
    }

    /// Ends the process that was, and starts the next, as often as it takes.
    pub(crate) fn start(&mut self, ending: Ending, faults: bool) -> Result<Process, Failure> {
        let mut ending = ending;
        for attempt in 0..=FAULTY_STARTS {
            self.end(ending);
            let faulty = faults && attempt < FAULTY_STARTS;
            let fired = self.disk.fired();
            self.plan_start(faulty);
            let opened = self.open();
            self.disk.disarm();
            let failed = match opened {
                Ok((journal, report)) => match self.take_up(journal, &report, ending, faulty) {
                    // Ended in a call whose failure nobody waited for, as reading ahead: a process
                    // that has ended goes on with nothing.
                    Ok(_) if self.disk.down().is_some() => None,
                    Ok(process) => return Ok(process),
                    Err(NotReplayed::Disk) => None,
                    Err(NotReplayed::Failed(failure)) => return Err(failure),
                },
                Err(failed) => Some(failed),
            };
            let struck = self.disk.fired() > fired;
            match failed {
                None | Some(OpenError::Io { .. }) if struck => self.tally.hit(Count::NotOpened),
                None => return Err(wrong("a replay failed on a disk that works")),
                Some(error) => return Err(refused(&error)),
            }
            ending = self.ended();
        }
        Err(wrong("no start succeeds on a disk that works"))
    }

    /// How the process ended that a fault ended.
    pub(crate) fn ended(&self) -> Ending {
        match self.disk.down() {
            Some(End::Kill) => Ending::Kill,
            Some(End::PowerCut) => Ending::PowerCut,
            None => Ending::ByItself,
        }
    }

    pub(crate) fn open(&self) -> Result<(Journal, Recovery), OpenError> {
        let disk = Sabotage::wrap(self.planted, self.disk.clone());
        Journal::open_on(disk, folder(), self.options.clone())
    }

    /// Ends the process on the machine and in the state.
    pub(crate) fn end(&mut self, ending: Ending) {
        let end = match ending {
            Ending::PowerCut => End::PowerCut,
            Ending::Clean | Ending::ByItself | Ending::Kill => End::Kill,
        };
        self.disk = self.disk.restart(end);
        match ending {
            Ending::Clean => return,
            Ending::ByItself => self.tally.hit(Count::Ended),
            Ending::Kill => self.tally.hit(Count::Kills),
            Ending::PowerCut => self.tally.hit(Count::PowerCuts),
        }
        self.state.crash(&mut self.random, &mut self.tally);
    }

    fn plan_start(&mut self, faulty: bool) {
        self.disk.set_nearly_full(self.random.one_in(NEARLY_FULL));
        if faulty && self.random.one_in(FAULTY) {
            // Up to some segments in, or the last few calls.
            let calls = self.random.pick(&[4, 16, 64]);
            let when = When::After(self.random.below(calls));
            self.disk.arm(when, self.random.pick(&FAULTS));
        }
    }

    /// Looks at what recovery found, and brings the state up to it.
    fn take_up(
        &mut self,
        journal: Journal,
        report: &Recovery,
        before: Ending,
        faulty: bool,
    ) -> Result<Process, NotReplayed> {
        self.tally.hit(Count::Opened);
        if report.cut.is_some() {
            self.tally.hit(Count::Cut);
            if before == Ending::Clean {
                let failure = wrong(format!("a clean end leaves a torn one: {report:?}"));
                return Err(NotReplayed::Failed(failure));
            }
        }
        self.look(&journal, report).map_err(NotReplayed::Failed)?;
        let reader = journal.reader();
        if !self.is_spool() {
            if faulty && self.random.one_in(FAULTY) {
                let when = When::After(self.random.below(32));
                self.disk.arm(when, self.random.pick(&FAULTS));
            }
            let replayed = self.state.replay(&reader, &mut self.tally);
            self.disk.disarm();
            replayed?;
            self.state
                .check(&self.workload)
                .map_err(NotReplayed::Failed)?;
        }
        let tail = reader.groups_from(Position::START);
        Ok(Process {
            journal,
            tail,
            tailed: 0,
        })
    }

    /// Compares everything that recovery left with what was acknowledged.
    fn look(&mut self, journal: &Journal, report: &Recovery) -> Result<(), Failure> {
        let reader = journal.reader();
        let first = reader.segments().first().map_or(0, |first| first.number);
        let (oldest, newest) = self.oracle.first_segments;
        if !(oldest..=newest).contains(&first) {
            return Err(lost(format!(
                "the journal begins with segment {first}, not one of {oldest} to {newest}"
            )));
        }
        self.oracle.forget_before(first);
        let kept = self.oracle.compare(&reader)?;
        let in_flight = self.oracle.in_flight.take();
        if let (Some(group), Some(events)) = (kept, in_flight) {
            // It was synced before it was reported: from here on it must stay.
            self.tally.hit(Count::Kept);
            self.workload.commit(&events);
            self.oracle.acknowledge(Some(at(&group)), events);
        } else {
            self.workload.abort();
        }
        self.oracle.check_report(report)?;
        if self.random.one_in(VERIFIED) {
            self.verify(journal)?;
        }
        let compared = u64::try_from(self.oracle.events()).unwrap_or(0);
        self.tally.add(Count::Compared, compared);
        Ok(())
    }

    /// Checks every byte and the chain through all groups.
    pub(crate) fn verify(&self, journal: &Journal) -> Result<(), Failure> {
        let mut groups = 0;
        for segment in journal.reader().verify_all() {
            groups += segment
                .map_err(|error| lost(format!("the chain does not hold: {error}")))?
                .groups;
        }
        let known = u64::try_from(self.oracle.groups.len()).unwrap_or(u64::MAX);
        if groups == known {
            return Ok(());
        }
        Err(wrong(format!(
            "{groups} groups verified, {known} are known"
        )))
    }
}

/// A start that was refused although nothing is wrong but what a crash left.
fn refused(error: &OpenError) -> Failure {
    match error {
        OpenError::Damaged { .. } | OpenError::Unsupported { .. } => lost(error.to_string()),
        other => wrong(other.to_string()),
    }
}

/// All that can go wrong; crashes as often as errors.
pub(crate) const FAULTS: [Fault; 6] = [
    Fault::Eio,
    Fault::Enospc,
    Fault::Enospc,
    Fault::Kill,
    Fault::PowerCut,
    Fault::PowerCut,
];
/// Segments of 1 to 8 KiB: one to a dozen groups each, so that rolls are more frequent than crashes.
const SEGMENT_BYTES_MORE: u64 = 7 * 1_024;
/// One seed in so many runs a journal that forgets, as the connector's spool does.
const SPOOLS: u64 = 8;
/// Starts that may meet a fault; the next one meets none and must succeed.
const FAULTY_STARTS: u32 = 3;
/// One start in so many meets a fault, and one replay.
const FAULTY: u64 = 8;
/// One start in so many is followed by a full check; every start compares every record.
const VERIFIED: u64 = 3;
/// One start in so many finds the disk nearly full.
const NEARLY_FULL: u64 = 10;
