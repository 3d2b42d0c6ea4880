//! The state brought up to the journal's end, or removed and built again.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::{Position, Reader, disk::Disk};
use provost_protocol::{envelope::Envelope, tlog::leaf_hash};

use super::{JOURNAL, OpenError, Replay, STATE};
use crate::{
    backend::ReadError,
    db::{Db, DbError},
    fail_points,
    marker::{Marker, Phase, Trust, boot_id},
    projector::Projector,
    segments::{damaged, name_closed},
};

/// The journal that a state is brought up to.
pub(super) struct Log {
    pub(super) reader: Reader,
    pub(super) disk: Arc<dyn Disk>,
    /// The store's folder.
    pub(super) dir: PathBuf,
}

impl Log {
    fn unread(&self, error: provost_journal::ReadError) -> OpenError {
        match error {
            provost_journal::ReadError::Damaged(damage) => {
                let named = name_closed(&self.disk, &self.dir.join(JOURNAL), &damage);
                named.log();
                OpenError::Damaged(named)
            }
            error => OpenError::Replay(damaged(error)),
        }
    }
}

/// Why a state was not brought up to the journal's end.
#[derive(Debug)]
enum Behind {
    /// The state's own fault, cured by a rebuild.
    State(String),
    /// The journal's, or the folder's: no rebuild would help.
    Open(OpenError),
}

/// Opens the state and brings it up to the journal's end; removes it first where it cannot be
/// trusted.
pub(super) fn open_state(
    log: &Log,
    forced: bool,
    tell: &mut dyn FnMut(Replay),
) -> Result<(Db, Option<String>, u64), OpenError> {
    let dir = &log.dir;
    let state = dir.join(STATE);
    let found = Marker::read(dir);
    let trust = match Marker::judge(found.as_ref(), &boot_id(), state.exists()) {
        _ if forced => Trust::Rebuild("asked for"),
        judged => judged,
    };
    // Before anything is touched, and also before a removal: half a state must not be trusted.
    Marker::of(Phase::Opening).write(dir)?;
    let why = match trust {
        Trust::Rebuild(why) => why.to_owned(),
        Trust::Keep => match bring_up(log, &state, tell) {
            // All was applied and synced before the marker said so.
            Ok((_, 1..)) if found.is_some_and(|marker| marker.phase == Phase::Closed) => {
                "the state was closed and is behind the journal".to_owned()
            }
            Ok((db, replayed)) => return Ok((db, None, replayed)),
            Err(Behind::Open(error)) => return Err(error),
            Err(Behind::State(why)) => why,
        },
    };
    tracing::warn!(reason = %why, "the state is rebuilt from the journal");
    Marker::of(Phase::Opening).write(dir)?;
    remove_state(&state)?;
    match bring_up(log, &state, tell) {
        Ok((db, replayed)) => Ok((db, Some(why), replayed)),
        Err(Behind::Open(error)) => Err(error),
        Err(Behind::State(why)) => Err(OpenError::State(why)),
    }
}

fn bring_up(log: &Log, state: &Path, tell: &mut dyn FnMut(Replay)) -> Result<(Db, u64), Behind> {
    let (dir, reader) = (&log.dir, &log.reader);
    let db = Db::open(state)?;
    if db.watermark()? > Some(reader.end()) {
        let why = "the state is ahead of the journal";
        return Err(Behind::State(why.to_owned()));
    }
    fail_points::reach(fail_points::STATE_OPENED);
    // The danger of a torn open is over; a replay that is killed goes on where it was.
    Marker::of(Phase::Open).write(dir)?;
    let replayed = catch_unwind(AssertUnwindSafe(|| replay(&db, log, tell)));
    let replayed =
        replayed.map_err(|_| Behind::State("sled panicked in a replay".to_owned()))??;
    Ok((db, replayed))
}

fn remove_state(state: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Brings the state up to the journal's end, one batch for each stretch of groups.
fn replay(db: &Db, log: &Log, tell: &mut dyn FnMut(Replay)) -> Result<u64, Behind> {
    let from = db.watermark()?.unwrap_or(Position::START);
    let mut replayed = 0_u64;
    let mut projector = Projector::new(db);
    let mut waiting = 0_usize;
    let mut end = from;
    for group in log.reader.groups_from(from) {
        let group = group.map_err(|error| Behind::Open(log.unread(error)))?;
        for (_, record) in &group.records {
            let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
            if envelope.tenant != record.tenant || envelope.seq != record.seq {
                return Err(damaged("a record's header disagrees with its envelope").into());
            }
            projector.project(&envelope, leaf_hash(&record.payload))?;
            replayed += 1;
            waiting += 1;
        }
        end = group.end;
        if waiting >= REPLAY_BATCH {
            let full = std::mem::replace(&mut projector, Projector::new(db));
            fail_points::reach(fail_points::BEFORE_REPLAY_BATCH);
            full.commit(end)?;
            waiting = 0;
            tell(Replay::up_to(replayed, end));
        }
    }
    if end > from {
        fail_points::reach(fail_points::BEFORE_REPLAY_BATCH);
        projector.commit(end)?;
        tell(Replay::up_to(replayed, end));
    }
    Ok(replayed)
}

impl From<DbError> for Behind {
    fn from(error: DbError) -> Self {
        match error {
            // Its thread may go on reading and writing: only the process's end is an end to it,
            // and the marker makes the next start rebuild.
            late @ DbError::Late(_) => Self::Open(OpenError::State(format!(
                "{late}; the next start rebuilds it"
            ))),
            error => Self::State(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Behind {
    fn from(error: std::io::Error) -> Self {
        Self::Open(error.into())
    }
}

impl From<ReadError> for Behind {
    fn from(error: ReadError) -> Self {
        Self::Open(error.into())
    }
}

/// Events applied at once in a replay: a batch of some hundred KiB.
const REPLAY_BATCH: usize = 1_024;
