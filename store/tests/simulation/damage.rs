//! Bits that turn over in what was sealed: damage must be named with its file and its place, and
//! must never be served; put right again, everything is there.

use provost_journal::{Damage, Journal, OpenError, Position, ReadError};

use super::{
    disk::folder,
    machine::{Ending, Machine, Process},
    oracle::{Failure, Place, wrong},
    sabotage::Sabotage,
    tally::Count,
};

/// One bit of one file, and where the damage is to be named.
#[derive(Debug)]
struct Flip {
    file: String,
    segment: u64,
    at: u64,
    bit: u8,
    named: Named,
}

/// Where damage is to be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Where the group or the header that holds the bit starts.
    At(u64),
    /// In a compressed file: at the bit or before, in whatever holds it.
    Packed,
}

/// Who looks at a damaged journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eyes {
    /// A process that may have seen the bytes before, and kept a block of a compressed file.
    Old,
    Fresh,
}

impl Machine {
    /// Flips a bit somewhere, looks whether it is found by everybody, and puts it right.
    pub(crate) fn damage(&mut self, process: &mut Process) -> Result<Option<Ending>, Failure> {
        let Some(flip) = self.choose() else {
            return Ok(None);
        };
        if !self.flip(&flip) {
            return Ok(None);
        }
        self.tally.hit(Count::Flipped);
        self.look_at_damage(&process.journal, &flip, Eyes::Old)?;
        if self.random.coin() {
            self.flip(&flip);
            process.follow_again();
            return Ok(None);
        }
        // The damage is found at the next start; the operator brings the file back.
        let ending = self.random.pick(&[Ending::Kill, Ending::PowerCut]);
        self.start_damaged(ending, &flip)?;
        self.flip(&flip);
        Ok(Some(ending))
    }

    fn flip(&self, flip: &Flip) -> bool {
        let at = usize::try_from(flip.at);
        at.is_ok_and(|at| self.disk.flip(&flip.file, at, flip.bit))
    }

    /// Chooses a bit that was sealed: in a group before the last one, or in the header of a segment
    /// that has a group. Damage to the last group of all cannot be told from a torn write.
    fn choose(&mut self) -> Option<Flip> {
        let last = self.oracle.groups.last()?.place.clone()?;
        let places: Vec<&Place> = self
            .oracle
            .groups
            .iter()
            .filter_map(|known| known.place.as_ref())
            .collect();
        let segments = last.start.segment - places.first()?.start.segment + 1;
        let segment = last.start.segment - self.random.below(segments);
        let until = if segment == last.start.segment {
            last.start.offset
        } else {
            let here = places
                .iter()
                .filter(|place| place.start.segment == segment)
                .map(|place| place.end.offset);
            here.max()?
        };
        let raw = provost_journal::file_name(segment);
        let packed = format!("{raw}z");
        let files = self.disk.files();
        let stored = |name: &String| files.iter().find(|(known, _)| known == name);
        let bit = self.random.byte() % 8;
        if stored(&raw).is_none() {
            let length = u64::try_from(stored(&packed)?.1).ok()?;
            return Some(Flip {
                file: packed,
                segment,
                at: self.random.below(length),
                bit,
                named: Named::Packed,
            });
        }
        let at = self.random.below(until);
        let named = places
            .iter()
            .map(|place| place.start)
            .filter(|start| start.segment == segment && start.offset <= at)
            .max()
            .map_or(0, |start| start.offset);
        Some(Flip {
            file: raw,
            segment,
            at,
            bit,
            named: Named::At(named),
        })
    }

    /// Nobody serves what is damaged, and everybody names it.
    fn look_at_damage(&self, journal: &Journal, flip: &Flip, eyes: Eyes) -> Result<(), Failure> {
        let reader = journal.reader();
        let found = flip.named_by(reader.verify_all().find_map(Result::err), "the full check")?;
        let quick = reader.check_stored(flip.segment).err();
        flip.named_by(quick, "the quick check")?;
        let mut served = 0;
        let mut ended = None;
        for item in reader.groups_from(Position::START) {
            match item {
                Ok(group) => {
                    self.oracle.check_group(served, group)?;
                    served += 1;
                }
                Err(error) => ended = Some(error),
            }
        }
        let kept = eyes == Eyes::Old && flip.named == Named::Packed;
        if !(kept && ended.is_none()) {
            flip.named_by(ended, "a reader")?;
        }
        for (at, event) in self.oracle.events_from(Position::START) {
            let length = u64::try_from(event.record.payload.len()).unwrap_or(u64::MAX);
            let bytes = at.offset..at.offset + RECORD_HEADER_BYTES + length;
            let hit = at.segment == flip.segment
                && match flip.named {
                    Named::At(_) => bytes.contains(&flip.at),
                    Named::Packed => true,
                };
            let outside = at.segment != flip.segment
                || bytes.end <= found.lost.start
                || found.lost.end <= bytes.start;
            match reader.read_at(at) {
                Ok(record) if record == event.record && (kept || !hit) => {}
                Err(ReadError::Damaged(damage)) if damage.file == flip.file && !outside => {}
                other => {
                    return Err(wrong(format!("with {flip:?}, {at} is read as {other:?}")));
                }
            }
        }
        Ok(())
    }

    /// A start on the damaged disk: it is refused with the place, and nothing is touched; or the
    /// damage lies where only the full check looks.
    fn start_damaged(&mut self, ending: Ending, flip: &Flip) -> Result<(), Failure> {
        self.end(ending);
        let before = self.disk.digest();
        match self.open() {
            Ok((journal, _)) => self.look_at_damage(&journal, flip, Eyes::Fresh),
            Err(OpenError::Damaged { damage, .. }) => {
                let offset = damage.offset;
                flip.named_by(Some(ReadError::Damaged(damage)), "a start")?;
                if self.disk.digest() != before {
                    return Err(wrong(format!("with {flip:?}, a refused start wrote")));
                }
                self.tally.hit(Count::DamageAtOpen);
                if self.planted == Some(Sabotage::CutMiddle) {
                    self.cut_and_go_on(&flip.file, offset)?;
                }
                Ok(())
            }
            Err(error) => Err(wrong(format!("with {flip:?}, a start says {error}"))),
        }
    }

    /// The planted bug: what stands at the damage and after it is cut off.
    fn cut_and_go_on(&self, segment: &str, offset: u64) -> Result<(), Failure> {
        use provost_journal::disk::{Access, Disk as _};
        let cut = || {
            for (name, _) in self.disk.files() {
                if name.as_str() > segment && name.contains(".seg") {
                    self.disk.remove(&folder().join(name))?;
                }
            }
            let file = self.disk.open(&folder().join(segment), Access::Write)?;
            file.truncate(offset)?;
            file.sync_all()?;
            self.disk.sync_dir(&folder())
        };
        cut().map_err(|error| wrong(format!("the bug cannot be planted: {error}")))
    }
}

impl Flip {
    /// The damage as somebody named it; it must be this one.
    fn named_by(&self, found: Option<ReadError>, who: &str) -> Result<Damage, Failure> {
        match found {
            Some(ReadError::Damaged(damage))
                if damage.file == self.file
                    && damage.segment == self.segment
                    && match self.named {
                        Named::At(offset) => damage.offset == offset,
                        Named::Packed => damage.offset <= self.at,
                    } =>
            {
                Ok(damage)
            }
            other => Err(wrong(format!("with {self:?}, {who} finds {other:?}"))),
        }
    }
}

/// Fixed by the format.
const RECORD_HEADER_BYTES: u64 = 32;
