//! What a power cut leaves: what was synced, and of the rest anything.
//!
//! A write that was not synced is there, or is not, or any prefix of it is, or any of its chunks;
//! the file may have grown without it, over zeros or over rubbish. A name that was not synced is
//! the new one or the old one. Files and names do not wait for each other.

use super::contents::{Change, Contents, File, FolderState, NameChange, apply, put};
use crate::simulation::{
    random::Random,
    tally::{Count, Tally},
};

/// How much of what was not synced is left, as a whole.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Everything,
    Nothing,
    /// All before this change, this one in part, none after.
    UpTo(u64),
    /// Each for itself.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Torn,
    Gone,
}

/// A power cut in progress.
struct Cut<'a> {
    random: &'a mut Random,
    tally: &'a mut Tally,
    mood: Mood,
    /// The last change that is left, and the first that is not.
    last_kept: u64,
    first_gone: u64,
}

/// Turns the power off and on.
pub(super) fn power_cut(contents: &mut Contents, random: &mut Random, tally: &mut Tally) {
    if contents.folder == FolderState::Made && random.coin() {
        tally.hit(Count::Forgotten);
        *contents = Contents::default();
        return;
    }
    let orders = waiting(contents);
    let mood = match random.below(10) {
        0 => Mood::Everything,
        1 | 2 => Mood::Nothing,
        3..=5 if !orders.is_empty() => Mood::UpTo(random.pick(&orders)),
        _ => Mood::Any,
    };
    let mut cut = Cut {
        random,
        tally,
        mood,
        last_kept: 0,
        first_gone: u64::MAX,
    };
    for file in &mut contents.files {
        cut.file(file);
    }
    for (order, change) in std::mem::take(&mut contents.waiting_names) {
        match cut.fate(order) {
            Fate::Gone => cut.tally.hit(Count::Forgotten),
            // A name is there or is not.
            Fate::Kept | Fate::Torn => rename(contents, change),
        }
    }
    if cut.last_kept > cut.first_gone {
        cut.tally.hit(Count::Reordered);
    }
    contents.names.clone_from(&contents.durable_names);
    for (number, file) in contents.files.iter_mut().enumerate() {
        if !contents.names.values().any(|known| *known == number) {
            *file = File::default();
        }
    }
}

/// The numbers of all changes that wait for a sync.
fn waiting(contents: &Contents) -> Vec<u64> {
    let files = contents.files.iter();
    let changes = files.flat_map(|file| file.waiting.iter().map(|(order, _)| *order));
    let names = contents.waiting_names.iter().map(|(order, _)| *order);
    changes.chain(names).collect()
}

impl Cut<'_> {
    fn fate(&mut self, order: u64) -> Fate {
        let fate = match self.mood {
            Mood::Everything => Fate::Kept,
            Mood::Nothing => Fate::Gone,
            Mood::UpTo(last) if order < last => Fate::Kept,
            Mood::UpTo(last) if order == last => Fate::Torn,
            Mood::UpTo(_) => Fate::Gone,
            Mood::Any => self.random.pick(&[Fate::Kept, Fate::Torn, Fate::Gone]),
        };
        match fate {
            Fate::Gone => self.first_gone = self.first_gone.min(order),
            Fate::Kept | Fate::Torn => self.last_kept = self.last_kept.max(order),
        }
        fate
    }

    fn file(&mut self, file: &mut File) {
        for (order, change) in std::mem::take(&mut file.waiting) {
            let fate = self.fate(order);
            match (&change, fate) {
                (_, Fate::Kept) => apply(&mut file.durable, &change),
                (Change::Write { at, bytes }, Fate::Torn) if bytes.len() > 1 => {
                    self.tally.hit(Count::Torn);
                    self.grow(&mut file.durable, at + bytes.len());
                    self.tear(&mut file.durable, *at, bytes);
                }
                (Change::Write { at, bytes }, Fate::Torn | Fate::Gone) => {
                    self.tally.hit(Count::Dropped);
                    self.grow(&mut file.durable, at + bytes.len());
                }
                (Change::Cut(length), Fate::Torn) => file.durable.truncate(*length),
                (Change::Cut(_), Fate::Gone) => {}
            }
        }
        if std::mem::take(&mut file.touched) {
            file.seen.clone_from(&file.durable);
        }
    }

    /// The length may be on the disk before what it is the length of.
    fn grow(&mut self, durable: &mut Vec<u8>, end: usize) {
        if durable.len() >= end || self.random.coin() {
            return;
        }
        let rubbish = self.random.one_in(4);
        let from = durable.len();
        durable.resize(end, 0);
        if rubbish {
            for byte in &mut durable[from..] {
                *byte = self.random.byte();
            }
        }
    }

    /// Keeps any prefix of a write, or any of its chunks.
    fn tear(&mut self, durable: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        let first_chunk = CHUNK - at % CHUNK;
        if self.random.one_in(3) || bytes.len() <= first_chunk {
            let kept = 1 + self.random.index(bytes.len() - 1);
            return put(durable, at, &bytes[..kept]);
        }
        let mut reordered = false;
        let (mut from, mut until, mut gone) = (0, first_chunk, false);
        while from < bytes.len() {
            if self.random.coin() {
                put(durable, at + from, &bytes[from..until]);
                reordered |= gone;
            } else {
                gone = true;
            }
            (from, until) = (until, (until + CHUNK).min(bytes.len()));
        }
        if reordered {
            // Later bytes are there, earlier ones of the same write are not.
            self.tally.hit(Count::Reordered);
        }
    }
}

fn rename(contents: &mut Contents, change: NameChange) {
    let names = &mut contents.durable_names;
    match change {
        NameChange::Add(name, file) => {
            names.insert(name, file);
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
        NameChange::Rename { from, to, file } => {
            names.remove(&from);
            names.insert(to, file);
        }
    }
}

/// Smaller than any sector, so that more can be torn and turned round than on a real disk.
const CHUNK: usize = 128;
