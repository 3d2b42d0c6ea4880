//! What a process does, one step at a time, with faults planned into it.

use provost_journal::{AppendError, Appended, Journal, OpenError, Position, ReadError};

use super::{
    disk::{Call, Fault, When},
    machine::{Ending, FAULTS, Machine, Process},
    oracle::{Failure, landed, lost, wrong},
    sabotage::Sabotage,
    tally::Count,
    workload::Decided,
};

impl Machine {
    /// Does one thing; says how the process ended, if it did.
    pub(crate) fn step(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        self.tally.hit(Count::Operations);
        let fired = self.disk.fired();
        let ended = match self.random.below(100) {
            0..=5 => self.seal(process)?,
            6..=13 => self.read_one(process)?,
            14..=17 => self.read_on(process)?,
            18..=21 => self.follow(process)?,
            22 => self.verify(&process.journal).map(|()| None)?,
            23 => self.intrude().map(|()| None)?,
            24 => self.damage(process)?,
            25..=29 => self.rewrite_old(process)?,
            30 => return self.leave(process),
            31 => Some(self.random.pick(&[Ending::Kill, Ending::PowerCut])),
            32 => Some(self.append_in_the_dark(process)?),
            33 => {
                self.disk.set_nearly_full(false);
                None
            }
            _ => self.append(process)?,
        };
        self.disk.disarm();
        if self.disk.fired() > fired && self.disk.down().is_some() {
            return Ok(Some(self.ended()));
        }
        Ok(ended)
    }

    /// Plans what goes wrong in the next few calls, now and then.
    pub(crate) fn plan(&mut self) {
        if !self.random.one_in(PLANNED) {
            return;
        }
        loop {
            let when = if self.random.coin() {
                When::After(self.random.below(5))
            } else {
                When::Next(self.random.pick(&RARE))
            };
            self.disk.arm(when, self.random.pick(&FAULTS));
            // A second one strikes where the first is being dealt with.
            if !self.random.one_in(3) {
                return;
            }
        }
    }

    pub(crate) fn append(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        self.plan();
        self.append_plainly(process)
    }

    /// Appends, and the power goes before anybody hears of it.
    pub(crate) fn append_in_the_dark(&mut self, process: &mut Process) -> Result<Ending, Failure> {
        let call = self.random.pick(&[Call::Write, Call::Sync]);
        self.disk.arm(When::Next(call), Fault::PowerCut);
        self.append_plainly(process)?;
        Ok(Ending::PowerCut)
    }

    /// Appends with what is planned already, or with nothing.
    pub(crate) fn append_plainly(
        &mut self,
        process: &mut Process,
    ) -> Result<Option<Ending>, Failure> {
        let events = self.workload.decide(&mut self.random);
        let records: Vec<_> = events.iter().map(|event| event.record.clone()).collect();
        let fired = self.disk.fired();
        if self.planted == Some(Sabotage::ApplyBeforeJournal) {
            self.acknowledged(None, process.journal.end(), events)?;
        } else {
            self.oracle.in_flight = Some(events);
        }
        let done = process.journal.append(&records);
        self.settle(process, done, fired)
    }

    fn seal(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        self.plan();
        let fired = self.disk.fired();
        self.oracle.in_flight = Some(Vec::new());
        let done = process.journal.seal();
        self.settle(process, done, fired)
    }

    /// Takes in what the journal said about the group in flight.
    fn settle(
        &mut self,
        process: &mut Process,
        done: Result<Appended, AppendError>,
        fired: u64,
    ) -> Result<Option<Ending>, Failure> {
        let struck = self.disk.fired() > fired;
        match done {
            Ok(done) => {
                if done.rolled.is_some() {
                    self.tally.hit(Count::Rolled);
                }
                if let Some(events) = self.oracle.in_flight.take() {
                    self.acknowledged(Some(&done), done.end, events)?;
                }
                Ok(None)
            }
            // Its end was decided elsewhere; nobody heard an answer.
            Err(_) if self.disk.down().is_some() => Ok(Some(self.ended())),
            Err(AppendError::NearlyFull { .. }) => {
                self.tally.hit(Count::NearlyFull);
                self.refused();
                Ok(None)
            }
            Err(AppendError::Write(_)) if struck => {
                self.tally.hit(Count::Refused);
                self.refused();
                Ok(None)
            }
            Err(AppendError::Fatal { .. }) if struck => {
                self.check_poisoned(&mut process.journal)?;
                Ok(Some(Ending::ByItself))
            }
            Err(error) => Err(wrong(format!("a disk that works refuses: {error}"))),
        }
    }

    /// The group is durable, says the journal: somebody is told.
    fn acknowledged(
        &mut self,
        done: Option<&Appended>,
        end: Position,
        events: Vec<Decided>,
    ) -> Result<(), Failure> {
        let count = u64::try_from(events.len()).unwrap_or(0);
        self.tally.add(Count::Acknowledged, count);
        self.workload.commit(&events);
        if !self.is_spool() && !events.is_empty() {
            let fold = events
                .iter()
                .map(|event| (&*event.envelope, &*event.record.payload));
            self.state.take_in(end, fold)?;
        }
        self.oracle.acknowledge(done.map(landed), events);
        Ok(())
    }

    fn refused(&mut self) {
        self.oracle.in_flight = None;
        self.workload.abort();
    }

    /// After an unknown outcome nothing is tried again.
    fn check_poisoned(&self, journal: &mut Journal) -> Result<(), Failure> {
        let calls = self.disk.calls();
        let again = journal.seal();
        if matches!(again, Err(AppendError::Poisoned)) && self.disk.calls() == calls {
            return Ok(());
        }
        Err(wrong(format!("after a failed sync it goes on: {again:?}")))
    }

    /// Reads one acknowledged event where it was said to stand.
    fn read_one(&mut self, process: &Process) -> Result<Option<Ending>, Failure> {
        let Some((at, event)) = self.any_event() else {
            return Ok(None);
        };
        self.plan_read();
        let fired = self.disk.fired();
        match process.journal.reader().read_at(at) {
            Ok(record) if record == event.record => Ok(None),
            Ok(other) => Err(wrong(format!("{other:?} is read at {at}"))),
            Err(error) => self.unread(&error, fired),
        }
    }

    /// Reads from any place on.
    fn read_on(&mut self, process: &Process) -> Result<Option<Ending>, Failure> {
        let Some((from, _)) = self.any_event() else {
            return Ok(None);
        };
        self.plan_read();
        let fired = self.disk.fired();
        let known: Vec<_> = self.oracle.events_from(from).take(READ_ON).collect();
        let found = process.journal.reader().records_from(from);
        for (item, (at, event)) in found.zip(known) {
            match item {
                Ok((place, record)) if (place, &record) == (at, &event.record) => {}
                Ok((place, _)) => return Err(wrong(format!("{place} is read, {at} is next"))),
                Err(error) => return self.unread(&error, fired),
            }
        }
        Ok(None)
    }

    /// Takes in what became durable since the last time.
    fn follow(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        self.plan_read();
        let fired = self.disk.fired();
        while let Some(item) = process.tail.next() {
            match item {
                Ok(group) => self.oracle.check_group(process.tailed, group)?,
                Err(error) => {
                    let ended = self.unread(&error, fired)?;
                    process.follow_again();
                    return Ok(ended);
                }
            }
            process.tailed += 1;
        }
        let known = self.oracle.groups.len();
        if process.tailed == known {
            return Ok(None);
        }
        let tailed = process.tailed;
        Err(lost(format!("{tailed} of {known} groups are followed")))
    }

    /// A read that failed: only a planned fault may be why.
    fn unread(&self, error: &ReadError, fired: u64) -> Result<Option<Ending>, Failure> {
        let struck = self.disk.fired() > fired;
        match error {
            ReadError::Io { .. } if struck => Ok(None),
            other => {
                let source = std::error::Error::source(other);
                let why = source.map_or_else(String::new, |source| format!(": {source}"));
                Err(lost(format!("an acknowledged event: {other}{why}")))
            }
        }
    }

    fn plan_read(&mut self) {
        if self.random.one_in(READS_PLANNED) {
            let when = When::After(self.random.below(4));
            self.disk.arm(when, self.random.pick(&FAULTS));
        }
    }

    /// A second process wants the same folder.
    fn intrude(&self) -> Result<(), Failure> {
        let (before, fired) = (self.disk.digest(), self.disk.fired());
        let opened = self.open();
        let struck = self.disk.fired() > fired;
        match opened {
            Err(OpenError::Locked { .. }) if self.disk.digest() == before => Ok(()),
            Err(OpenError::Io { .. }) if struck => Ok(()),
            other => Err(wrong(format!("a second process gets {other:?}"))),
        }
    }

    /// Shuts down as the writer's thread does: what waits for it is attested.
    fn leave(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        if process.journal.needs_seal() && self.random.coin() {
            let ended = self.seal(process)?;
            self.disk.disarm();
            if self.disk.down().is_some() {
                return Ok(Some(self.ended()));
            }
            return Ok(Some(ended.unwrap_or(Ending::Clean)));
        }
        Ok(Some(Ending::Clean))
    }

    /// Any acknowledged event, and where it stands.
    fn any_event(&mut self) -> Option<(Position, Decided)> {
        let groups = self.oracle.groups.len();
        if groups == 0 {
            return None;
        }
        let known = &self.oracle.groups[self.random.index(groups)];
        let place = known.place.as_ref()?;
        if known.events.is_empty() {
            return None;
        }
        let event = self.random.index(known.events.len());
        Some((place.positions[event], known.events[event].clone()))
    }
}

impl Process {
    /// Follows from the start again.
    pub(crate) fn follow_again(&mut self) {
        self.tail = self.journal.reader().groups_from(Position::START);
        self.tailed = 0;
    }
}

/// Calls that an append makes seldom, or that must be hit when they are made.
const RARE: [Call; 7] = [
    Call::Create,
    Call::SyncDir,
    Call::SyncDir,
    Call::Truncate,
    Call::Write,
    Call::Write,
    Call::Sync,
];
/// One write in so many meets a fault: some five a seed.
const PLANNED: u64 = 30;
/// One read in so many.
const READS_PLANNED: u64 = 30;
/// Events read at once: over a roll or two.
const READ_ON: usize = 12;
