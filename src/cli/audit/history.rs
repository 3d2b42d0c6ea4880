//! Verifying an exported log: every event, every tile, and the signed root.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use provost_protocol::{
    TenantId,
    note::{NOTE_BYTES_MAX, parse_verifier_key},
    tlog::{Checkpoint, Hash, TlogError, leaf_hash},
};
use serde::Deserialize;

use super::tiles::{TILE_WIDTH, Tile, Tiles, entries, hashes};

/// Why an exported log is not what its checkpoint says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The folder is no export, or the machine does not give it.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The checkpoint does not hold.
    #[error("the checkpoint does not hold")]
    Checkpoint(#[from] TlogError),
    /// Something in the log is wrong, and where is known.
    #[error("{}: {why}", place.display())]
    Wrong {
        /// The file.
        place: PathBuf,
        /// The first event that is touched, and the last one of which that may be so.
        events: (u64, u64),
        /// What is wrong with it.
        why: String,
    },
    /// Events and tiles go together, and are not what was signed.
    #[error("the events of this folder are not those that were signed: another root follows")]
    Root,
}

/// What an envelope says of its own place.
#[derive(Debug, Deserialize)]
struct Placed {
    tenant: TenantId,
    epoch: u64,
    seq: u64,
}

/// One exported log.
#[derive(Debug)]
pub(super) struct History<'a> {
    folder: &'a Path,
    checkpoint: Checkpoint,
    /// Whose log, and which epoch of it, by the name of the key.
    tenant: TenantId,
    epoch: u64,
}

impl<'a> History<'a> {
    /// Reads and verifies the checkpoint of an export.
    pub(super) fn open(folder: &'a Path, verifier_key: &str) -> Result<Self, Broken> {
        let path = folder.join(CHECKPOINT);
        let bytes = read(&path, NOTE_BYTES_MAX)
            .map_err(|source| Broken::Unreadable { path, source })?
            .unwrap_or_default();
        let note = String::from_utf8(bytes).map_err(|_| TlogError::NotCheckpoint)?;
        let (origin, key) = parse_verifier_key(verifier_key).map_err(TlogError::from)?;
        let checkpoint = Checkpoint::verify(&note, origin, &key)?;
        let (tenant, epoch) = log_of(origin).ok_or(TlogError::Origin)?;
        Ok(Self {
            folder,
            checkpoint,
            tenant,
            epoch,
        })
    }

    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Reads every event and every tile; `progress` hears how many events were found good.
    pub(super) fn verify(&self, mut progress: impl FnMut(u64)) -> Result<(), Broken> {
        let mut tiles = Tiles::default();
        let mut left = self.checkpoint.size;
        for n in 0.. {
            if left == 0 {
                break;
            }
            let width = usize::try_from(left).map_or(TILE_WIDTH, |left| left.min(TILE_WIDTH));
            for leaf in self.bundle(n, width)? {
                for tile in tiles.append(leaf).iter().filter(|tile| tile.level > 0) {
                    self.compare(tile)?;
                }
            }
            left = self.checkpoint.size - tiles.frontier().size();
            progress(tiles.frontier().size());
        }
        for tile in tiles.partial().iter().filter(|tile| tile.level > 0) {
            self.compare(tile)?;
        }
        if tiles.frontier().root() == self.checkpoint.root {
            Ok(())
        } else {
            Err(Broken::Root)
        }
    }

    /// Reads one bundle of events, and the tile above it; answers the events' hashes.
    fn bundle(&self, n: u64, width: usize) -> Result<Vec<Hash>, Broken> {
        let place = entries(n, width);
        let first = n.saturating_mul(TILE_EVENTS).saturating_add(1);
        let last = first.saturating_add(u64::try_from(width).unwrap_or(u64::MAX)) - 1;
        let bytes = self.file(&place, BUNDLE_BYTES_MAX, (first, last))?;
        let stored = self.hashes(&hashes(0, n, width), width, (first, last))?;
        let mut rest = bytes.as_slice();
        let mut leaves = Vec::with_capacity(width);
        for (seq, stored) in (first..=last).zip(&stored) {
            let wrong = |why: String| Broken::Wrong {
                place: place.clone(),
                events: (seq, seq),
                why,
            };
            let entry = next(&mut rest).ok_or_else(|| wrong(format!("event {seq} is missing")))?;
            self.placed(entry, seq).map_err(wrong)?;
            let leaf = leaf_hash(entry);
            if leaf != *stored {
                let why = format!("event {seq} and its hash in tile/0 do not go together");
                return Err(wrong(why));
            }
            leaves.push(leaf);
        }
        if rest.is_empty() {
            return Ok(leaves);
        }
        Err(Broken::Wrong {
            place,
            events: (last, last),
            why: format!("something follows event {last}"),
        })
    }

    /// Says what is wrong with an event at this place.
    fn placed(&self, entry: &[u8], seq: u64) -> Result<(), String> {
        let placed: Placed = serde_json::from_slice(entry)
            .map_err(|_| format!("what stands for event {seq} is no event"))?;
        if placed.seq != seq {
            return Err(format!(
                "where event {seq} must stand is event {}",
                placed.seq
            ));
        }
        if placed.tenant != self.tenant {
            return Err(format!("event {seq} is of tenant {}", placed.tenant));
        }
        // The tree goes on over epochs: an earlier one's events stand in it, a later one's cannot.
        if placed.epoch > self.epoch {
            return Err(format!("event {seq} is of epoch {}", placed.epoch));
        }
        Ok(())
    }

    /// Compares a tile with what the events below it say it must be.
    fn compare(&self, tile: &Tile) -> Result<(), Broken> {
        let width = tile.hashes.len();
        let (first, _) = tile.events(0);
        let (_, last) = tile.events(width.saturating_sub(1));
        let place = tile.path();
        let stored = self.hashes(&place, width, (first, last))?;
        let differs = |(hash, stored): (&Hash, &Hash)| hash != stored;
        let Some(at) = tile.hashes.iter().zip(&stored).position(differs) else {
            return Ok(());
        };
        let (first, last) = tile.events(at);
        Err(Broken::Wrong {
            place,
            events: (first, last),
            why: format!("events {first} to {last} and their hash do not go together"),
        })
    }

    /// Reads the hashes of a tile.
    fn hashes(&self, place: &Path, width: usize, events: (u64, u64)) -> Result<Vec<Hash>, Broken> {
        let bytes = self.file(place, TILE_BYTES_MAX, events)?;
        let (hashes, rest) = bytes.as_chunks();
        if hashes.len() == width && rest.is_empty() {
            return Ok(hashes.to_vec());
        }
        Err(Broken::Wrong {
            place: place.to_owned(),
            events,
            why: format!("{} bytes where {width} hashes must stand", bytes.len()),
        })
    }

    /// Reads a file of the export; one that is not there is wrong for the events under it.
    fn file(&self, place: &Path, max: usize, events: (u64, u64)) -> Result<Vec<u8>, Broken> {
        let wrong = |why: &str| Broken::Wrong {
            place: place.to_owned(),
            events,
            why: why.to_owned(),
        };
        let path = self.folder.join(place);
        match read(&path, max) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(wrong("longer than it can be")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(wrong("the file is missing"))
            }
            Err(source) => Err(Broken::Unreadable { path, source }),
        }
    }
}

/// Whose log an origin names, and which epoch of it.
pub(super) fn log_of(origin: &str) -> Option<(TenantId, u64)> {
    let mut parts = origin.rsplit('/');
    let (epoch, tenant, what) = (parts.next()?, parts.next()?, parts.next()?);
    let log = (tenant.parse().ok()?, epoch.parse().ok()?);
    (what == "audit").then_some(log)
}

/// Reads a file of at most `max` bytes; `None` for a longer one.
pub(super) fn read(path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

/// Takes the next event of a bundle.
fn next<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, bytes) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (entry, after) = bytes.split_at_checked(length)?;
    *rest = after;
    Some(entry)
}

/// The signed checkpoint of an export, as specified.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// The key that a checkpoint is verified with. Ours: the specification leaves open how it comes.
pub(super) const VERIFIER_KEY: &str = "log.vkey";

/// Events under one bundle, or one tile of level 0.
const TILE_EVENTS: u64 = 256;

/// 256 hashes.
const TILE_BYTES_MAX: usize = TILE_WIDTH * size_of::<Hash>();

/// 256 events of the largest size there is, each after its length.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH * (2 + 65_535);
