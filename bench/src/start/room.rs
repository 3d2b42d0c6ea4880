//! How much room a data folder takes.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use provost_store::Store;

use super::to_f64;
use crate::{
    figure::Figure,
    fill::{self, Filled},
};

/// Bytes on the disk, by what they are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    segments: u64,
    indexes: u64,
    state: u64,
}

impl Room {
    pub(super) fn of(data: &Path) -> anyhow::Result<Self> {
        let mut room = Self::default();
        for entry in fs::read_dir(data.join("journal"))? {
            let entry = entry?;
            let bytes = entry.metadata()?.len();
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "idx")
            {
                room.indexes += bytes;
            } else {
                room.segments += bytes;
            }
        }
        room.state = bytes_under(&provost_store::state_folder(data))?;
        Ok(room)
    }

    pub(super) fn figures(self, filled: &Filled) -> Vec<Figure> {
        let json = to_f64(filled.json_bytes);
        let part = |name, bytes| Figure::new(name, to_f64(bytes), "bytes").over(json);
        let all = self.segments + self.indexes + self.state;
        vec![
            part("room: journal", self.segments),
            part("room: indexes", self.indexes),
            part("room: state", self.state),
            part("room: all, by the JSON of the events", all).at_most(ROOM_MAX),
        ]
    }
}

/// Opens the store and lets it put its sealed segments into their last form.
pub(super) fn wait_until_compressed(data: &Path) -> anyhow::Result<()> {
    let (store, _) = Store::open(data, fill::options(false))?;
    let (mut left, mut since) = (u64::MAX, Instant::now());
    loop {
        let raw = raw_segments(data)?;
        if raw < left {
            (left, since) = (raw, Instant::now());
        }
        // The last one is being written.
        if left <= 1 || since.elapsed() > NO_PROGRESS {
            break;
        }
        thread::park_timeout(LOOK_EVERY);
    }
    store.close(CLOSE_PATIENCE)?;
    Ok(())
}

fn raw_segments(data: &Path) -> anyhow::Result<u64> {
    let mut raw = 0;
    for entry in fs::read_dir(data.join("journal"))? {
        let path = entry?.path();
        raw += u64::from(path.extension().is_some_and(|extension| extension == "seg"));
    }
    Ok(raw)
}

fn bytes_under(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() {
            bytes_under(&entry.path())?
        } else {
            data.len()
        };
    }
    Ok(bytes)
}

/// As the issue says: of the JSON of the events.
const ROOM_MAX: f64 = 1.6;

/// A segment is compressed in a second or two.
const NO_PROGRESS: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Nothing was written.
const CLOSE_PATIENCE: Duration = Duration::from_secs(600);
