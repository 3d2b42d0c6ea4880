//! What happened in a run, counted: a simulation in which nothing went wrong proves nothing.

use std::{collections::BTreeMap, fmt};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    /// Writes of which a power cut left a part.
    Torn,
    /// Writes that a power cut took away whole.
    Dropped,
    /// Power cuts that kept something later than what they took.
    Reordered,
    /// Calls answered with an input/output error.
    Eio,
    /// Calls answered with "no space left".
    Enospc,
    /// Bits flipped in sealed data.
    Flipped,
    /// Changes of names that a power cut undid.
    Forgotten,
    /// Crashes after which the state was behind, or gone.
    StateLost,
    /// Steps of the workload.
    Operations,
    /// Processes killed, the page cache kept.
    Kills,
    /// Power cuts.
    PowerCuts,
    /// Processes that ended themselves, as they must after an unknown outcome.
    Ended,
    /// Times the journal opened.
    Opened,
    /// Times it did not, by a planned fault.
    NotOpened,
    /// Torn ends that recovery cut off.
    Cut,
    /// Groups of unknown outcome that recovery found and kept.
    Kept,
    /// Groups refused while the process went on.
    Refused,
    /// Groups refused because the disk was nearly full.
    NearlyFull,
    /// Segments rolled.
    Rolled,
    /// Segments forgotten by a spool.
    SegmentsForgotten,
    /// Segments compressed.
    Compressed,
    /// Compressions that a planned fault ended.
    NotCompressed,
    /// Damages for which a start was refused.
    DamageAtOpen,
    /// States built again from the first event.
    Rebuilt,
    /// Events applied by a replay.
    Replayed,
    /// Events read and compared with what was written.
    Compared,
    /// Events acknowledged.
    Acknowledged,
    /// Acknowledged events that were not there again.
    Lost,
    /// Answers that were not what they had to be.
    Wrong,
}

/// How often each thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<Count, u64>);

impl Tally {
    pub(crate) fn hit(&mut self, count: Count) {
        self.add(count, 1);
    }

    pub(crate) fn add(&mut self, count: Count, number: u64) {
        *self.0.entry(count).or_default() += number;
    }

    pub(crate) fn of(&self, count: Count) -> u64 {
        self.0.get(&count).copied().unwrap_or(0)
    }

    pub(crate) fn take_in(&mut self, other: &Self) {
        for (count, number) in &other.0 {
            self.add(*count, *number);
        }
    }

    /// Crashes of every kind.
    pub(crate) fn crashes(&self) -> u64 {
        [Count::Kills, Count::PowerCuts, Count::Ended]
            .iter()
            .map(|count| self.of(*count))
            .sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, what: &str, counts: &[(&str, Count)]| {
            write!(f, "{what}:")?;
            for (place, (name, count)) in counts.iter().enumerate() {
                let comma = if place == 0 { "" } else { "," };
                write!(f, "{comma} {} {name}", self.of(*count))?;
            }
            writeln!(f)
        };
        line(f, "faults", &FAULTS)?;
        line(f, "crashes", &CRASHES)?;
        line(f, "starts", &STARTS)?;
        line(f, "work", &WORK)
    }
}

/// The kinds of fault of which each must really have happened.
pub(crate) const FAULTS: [(&str, Count); 8] = [
    ("torn", Count::Torn),
    ("dropped", Count::Dropped),
    ("reordered", Count::Reordered),
    ("eio", Count::Eio),
    ("enospc", Count::Enospc),
    ("flipped", Count::Flipped),
    ("forgotten names", Count::Forgotten),
    ("state suffixes lost", Count::StateLost),
];

const CRASHES: [(&str, Count); 3] = [
    ("kills", Count::Kills),
    ("power cuts", Count::PowerCuts),
    ("ended by itself", Count::Ended),
];

const STARTS: [(&str, Count); 7] = [
    ("opened", Count::Opened),
    ("ended by a fault", Count::NotOpened),
    ("refused for damage", Count::DamageAtOpen),
    ("torn ends cut", Count::Cut),
    ("groups of unknown outcome kept", Count::Kept),
    ("states rebuilt", Count::Rebuilt),
    ("events replayed", Count::Replayed),
];

const WORK: [(&str, Count); 7] = [
    ("segments rolled", Count::Rolled),
    ("compressed", Count::Compressed),
    ("compressions failed", Count::NotCompressed),
    ("forgotten by spools", Count::SegmentsForgotten),
    ("groups refused", Count::Refused),
    ("for lack of room", Count::NearlyFull),
    ("events compared", Count::Compared),
];
