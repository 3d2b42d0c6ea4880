//! What stands on the disk, twice: as the process sees it, and as it would be found after the
//! power went. What lies between waits, change by change, for a sync.

use std::collections::BTreeMap;

use crate::simulation::random::Random;

/// A folder, its names and its files.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) folder: FolderState,
    pub(super) files: Vec<File>,
    /// Names as the process sees them.
    pub(super) names: BTreeMap<String, usize>,
    /// Names that a power cut leaves.
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) waiting_names: Vec<(u64, NameChange)>,
    /// The number of the next change, over files and names.
    order: u64,
}

/// Whether the folder itself is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FolderState {
    #[default]
    Missing,
    /// Made, and its parent was not synced since.
    Made,
    Durable,
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) seen: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) waiting: Vec<(u64, Change)>,
    /// Whether it was changed since the power was last cut.
    pub(super) touched: bool,
}

/// A change of a file that was not synced.
#[derive(Debug)]
pub(super) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

/// A change of a name that was not synced.
#[derive(Debug)]
pub(super) enum NameChange {
    Add(String, usize),
    Remove(String),
    Rename {
        from: String,
        to: String,
        file: usize,
    },
}

impl Contents {
    const fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn wait(&mut self, change: NameChange) {
        let order = self.next_order();
        self.waiting_names.push((order, change));
    }

    pub(super) fn create(&mut self, name: &str) -> usize {
        let file = self.files.len();
        self.files.push(File::default());
        self.names.insert(name.to_owned(), file);
        self.wait(NameChange::Add(name.to_owned(), file));
        file
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        let known = self.names.remove(name).is_some();
        if known {
            self.wait(NameChange::Remove(name.to_owned()));
        }
        known
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(file) = self.names.remove(from) else {
            return false;
        };
        self.names.insert(to.to_owned(), file);
        self.wait(NameChange::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            file,
        });
        true
    }

    pub(super) fn sync_names(&mut self) {
        self.waiting_names.clear();
        self.durable_names.clone_from(&self.names);
    }

    pub(super) fn write(&mut self, file: usize, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let order = self.next_order();
        let file = &mut self.files[file];
        file.touched = true;
        put(&mut file.seen, at, bytes);
        let bytes = bytes.to_vec();
        file.waiting.push((order, Change::Write { at, bytes }));
    }

    pub(super) fn truncate(&mut self, file: usize, length: usize) {
        let order = self.next_order();
        let file = &mut self.files[file];
        file.touched = true;
        file.seen.resize(length, 0);
        file.waiting.push((order, Change::Cut(length)));
    }

    pub(super) fn sync(&mut self, file: usize) {
        let file = &mut self.files[file];
        for (_, change) in file.waiting.drain(..) {
            apply(&mut file.durable, &change);
        }
        file.durable.resize(file.seen.len(), 0);
    }

    /// As Linux does it: pages that could not be written count as clean from then on. Later syncs
    /// succeed without them; only the length, which is metadata, is not forgotten.
    pub(super) fn sync_failed(&mut self, file: usize, random: &mut Random) {
        let file = &mut self.files[file];
        let reached = random.coin();
        let evicted = random.coin();
        for (order, change) in std::mem::take(&mut file.waiting) {
            match change {
                Change::Write { at, bytes } => {
                    if reached && random.coin() {
                        put(&mut file.durable, at, &bytes);
                    } else if evicted {
                        evict(file, at, bytes.len());
                    }
                }
                Change::Cut(length) if reached => file.durable.truncate(length),
                Change::Cut(length) => file.waiting.push((order, Change::Cut(length))),
            }
        }
    }

    /// One bit turns over on the medium, and the page cache forgets the page.
    pub(super) fn flip(&mut self, name: &str, at: usize, bit: u8) -> bool {
        let Some(file) = self.names.get(name).map(|file| &mut self.files[*file]) else {
            return false;
        };
        let (Some(seen), Some(durable)) = (file.seen.get_mut(at), file.durable.get_mut(at)) else {
            return false;
        };
        *seen ^= 1 << bit;
        *durable ^= 1 << bit;
        true
    }
}

/// The page is read from the disk again: what stood there before, or nothing.
fn evict(file: &mut File, at: usize, length: usize) {
    let end = (at + length).min(file.seen.len());
    for place in at.min(end)..end {
        file.seen[place] = file.durable.get(place).copied().unwrap_or(0);
    }
}

pub(super) fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: written } => put(bytes, *at, written),
        Change::Cut(length) => bytes.truncate(*length),
    }
}

/// Writes at a place; what lies between it and the end so far is a hole.
pub(super) fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}
