//! What was acknowledged, and what may therefore be found: all of it, in its order and place, byte
//! for byte, and after it at most the one group that was in flight.

use std::fmt;

use provost_journal::{Appended, Group, Position, ReadError, Reader, Recovery};

use super::{tally::Count, workload::Decided};

/// What is not as it must be.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Acknowledged events lost, or a wrong answer.
    pub(crate) count: Count,
    pub(crate) what: String,
}

/// A group that was acknowledged; a seal has no events.
#[derive(Debug)]
pub(crate) struct Known {
    /// Where it stands; `None` if it was answered before anybody could know.
    pub(crate) place: Option<Place>,
    pub(crate) events: Vec<Decided>,
}

/// Where a group stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u64,
    pub(crate) start: Position,
    pub(crate) end: Position,
    /// Where each of its records stands.
    pub(crate) positions: Vec<Position>,
}

/// Everything that was answered.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// From the oldest segment that was not forgotten.
    pub(crate) groups: Vec<Known>,
    /// Handed to the journal, and not answered.
    pub(crate) in_flight: Option<Vec<Decided>>,
    /// The oldest segment that must be there, and the newest that may be the oldest.
    pub(crate) first_segments: (u64, u64),
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            first_segments: (1, 1),
            ..Self::default()
        }
    }

    /// Takes in that the group in flight is durable.
    pub(crate) fn acknowledge(&mut self, place: Option<Place>, events: Vec<Decided>) {
        self.in_flight = None;
        self.groups.push(Known { place, events });
    }

    /// How many events are acknowledged and not forgotten.
    pub(crate) fn events(&self) -> usize {
        self.groups.iter().map(|known| known.events.len()).sum()
    }

    /// Drops what stood in segments that were forgotten.
    pub(crate) fn forget_before(&mut self, segment: u64) {
        self.first_segments = (segment, segment);
        let stays = |known: &Known| {
            let place = known.place.as_ref();
            place.is_none_or(|place| place.start.segment >= segment)
        };
        self.groups.retain(stays);
    }

    /// Compares a journal, from its first group on, with what was acknowledged; returns the group
    /// that was in flight, if it is there.
    pub(crate) fn compare(&self, reader: &Reader) -> Result<Option<Group>, Failure> {
        let mut found = reader.groups_from(Position::START);
        for (number, known) in self.groups.iter().enumerate() {
            self.same(number, known, found.next())?;
        }
        let extra = match found.next() {
            None => return Ok(None),
            Some(Err(error)) => return Err(wrong(format!("the end is unreadable: {error}"))),
            Some(Ok(extra)) => extra,
        };
        let wanted = self.in_flight.as_ref();
        if !wanted.is_some_and(|events| same_events(events, &extra)) {
            let at = extra.start;
            return Err(wrong(format!("a group at {at} that nobody was told of")));
        }
        match found.next() {
            None => Ok(Some(extra)),
            Some(more) => Err(wrong(format!("after the group in flight stands {more:?}"))),
        }
    }

    fn same(
        &self,
        number: usize,
        known: &Known,
        found: Option<Result<Group, ReadError>>,
    ) -> Result<(), Failure> {
        let gone = |why: &dyn fmt::Display| {
            let rest = &self.groups[number..];
            let events: usize = rest.iter().map(|known| known.events.len()).sum();
            let of = self.events();
            lost(format!(
                "{events} of {of} acknowledged events are not there, from {known} on: {why}"
            ))
        };
        match found {
            None => Err(gone(&"the journal ends before")),
            Some(Err(error)) => Err(gone(&error)),
            Some(Ok(group)) if !same_events(&known.events, &group) => {
                Err(gone(&format!("another group stands at {}", group.start)))
            }
            Some(Ok(group))
                if known
                    .place
                    .as_ref()
                    .is_some_and(|place| *place != at(&group)) =>
            {
                Err(wrong(format!("{known} stands at {} now", group.start)))
            }
            Some(Ok(_)) => Ok(()),
        }
    }

    /// Every acknowledged event at or after a place, in order.
    pub(crate) fn events_from(&self, from: Position) -> impl Iterator<Item = (Position, &Decided)> {
        let placed = self.groups.iter().filter_map(|known| {
            let place = known.place.as_ref()?;
            Some(place.positions.iter().copied().zip(&known.events))
        });
        placed.flatten().filter(move |(at, _)| *at >= from)
    }

    /// Compares one group, the one after `number` others, with what was acknowledged.
    pub(crate) fn check_group(&self, number: usize, found: Group) -> Result<(), Failure> {
        match self.groups.get(number) {
            Some(known) => self.same(number, known, Some(Ok(found))),
            None => {
                let at = found.start;
                Err(wrong(format!("the group at {at} was not acknowledged")))
            }
        }
    }

    /// Compares what recovery counted with what is known.
    pub(crate) fn check_report(&self, report: &Recovery) -> Result<(), Failure> {
        let last = self.groups.last().and_then(|known| known.place.as_ref());
        let records = u64::try_from(self.events()).unwrap_or(u64::MAX);
        let groups = u64::try_from(self.groups.len()).unwrap_or(u64::MAX);
        let follows = last.is_none_or(|last| {
            // In the same segment, or in one that was made and took no group.
            report.end == last.end
                || report.end == Position::new(last.end.segment + 1, SEGMENT_HEADER_BYTES)
        });
        let number = last.map(|last| last.number);
        let same_number = number.is_none() || report.last_group == number;
        if (report.records, report.groups) == (records, groups) && follows && same_number {
            return Ok(());
        }
        Err(wrong(format!(
            "recovery reports {report:?}, known are {records} events in {groups} groups, {last:?}"
        )))
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "group {} at {}", place.number, place.start),
            None => write!(f, "a group of {} events", self.events.len()),
        }
    }
}

/// Where an appended group stands.
pub(crate) fn landed(done: &Appended) -> Place {
    // A group starts with its header; a seal is nothing else.
    let first = done.positions.first().copied().unwrap_or(done.end);
    Place {
        number: done.group,
        start: Position::new(first.segment, first.offset - GROUP_HEADER_BYTES),
        end: done.end,
        positions: done.positions.clone(),
    }
}

/// Where a group that was read stands.
pub(crate) fn at(group: &Group) -> Place {
    Place {
        number: group.number,
        start: group.start,
        end: group.end,
        positions: group.records.iter().map(|(at, _)| *at).collect(),
    }
}

fn same_events(events: &[Decided], group: &Group) -> bool {
    let found = group.records.iter().map(|(_, record)| record);
    events.len() == group.records.len() && events.iter().map(|event| &event.record).eq(found)
}

/// An acknowledged event is not there.
pub(crate) fn lost(what: impl Into<String>) -> Failure {
    Failure {
        count: Count::Lost,
        what: what.into(),
    }
}

/// An answer is not what it must be.
pub(crate) fn wrong(what: impl Into<String>) -> Failure {
    Failure {
        count: Count::Wrong,
        what: what.into(),
    }
}

/// Fixed by the format.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 64;
/// Fixed by the format.
const GROUP_HEADER_BYTES: u64 = 64;
