//! What happens to sealed segments: they are compressed, and a spool forgets them.

use provost_journal::{AppendError, CompressError, ReadError};

use super::{
    disk::When,
    machine::{Ending, FAULTS, Machine, Process},
    oracle::{Failure, wrong},
    tally::Count,
};

impl Machine {
    /// Compresses a sealed segment, or forgets the oldest ones where that is allowed.
    pub(crate) fn rewrite_old(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        if self.is_spool() && self.random.coin() {
            self.forget(process)
        } else {
            self.compress(process)
        }
    }

    fn compress(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        let (first, last) = (self.oracle.first_segments.0, process.journal.end().segment);
        if first == last {
            return Ok(None);
        }
        let segment = first + self.random.below(last - first);
        self.plan_rewrite();
        let fired = self.disk.fired();
        let done = process.journal.reader().compress(segment);
        let struck = self.disk.fired() > fired;
        match done {
            Ok(done) if done.segment == segment => self.tally.hit(Count::Compressed),
            Err(_) if self.disk.down().is_some() => return Ok(Some(self.ended())),
            Err(CompressError::Write(_) | CompressError::Read(ReadError::Io { .. })) if struck => {
                self.tally.hit(Count::NotCompressed);
            }
            Err(CompressError::Fatal { .. }) if struck => return Ok(Some(Ending::ByItself)),
            other => return Err(wrong(format!("compressing {segment}: {other:?}"))),
        }
        Ok(None)
    }

    /// As [`Machine::plan`], but these steps are few and make many calls.
    fn plan_rewrite(&mut self) {
        if self.random.one_in(6) {
            let when = When::After(self.random.below(REWRITE_CALLS));
            self.disk.arm(when, self.random.pick(&FAULTS));
        }
    }

    fn forget(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        let first = self.oracle.first_segments.0;
        let last = process.journal.end().segment;
        let until = first + self.random.below(last - first + 1);
        self.plan();
        let fired = self.disk.fired();
        self.oracle.first_segments = (first, until);
        let done = process.journal.forget_before(until);
        let struck = self.disk.fired() > fired;
        let segments = process.journal.reader().segments();
        let left = segments.first().map_or(0, |oldest| oldest.number);
        match done {
            Ok(count) if left == until && count == until - first => {}
            Err(_) if self.disk.down().is_some() => return Ok(Some(self.ended())),
            Err(AppendError::Write(_)) if struck => {}
            Err(AppendError::Fatal { .. }) if struck => return Ok(Some(Ending::ByItself)),
            other => return Err(wrong(format!("forgetting before {until}: {other:?}"))),
        }
        self.tally.add(Count::SegmentsForgotten, left - first);
        self.oracle.forget_before(left);
        process.follow_again();
        Ok(None)
    }
}

/// About as many calls as it takes to compress a small segment.
const REWRITE_CALLS: u64 = 24;
