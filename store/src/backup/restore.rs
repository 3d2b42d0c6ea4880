//! The way back: an empty folder becomes the installation that a backup holds, in a new epoch.
//!
//! In this order, each step durable before the next: the marker [`INCOMPLETE`]; every file but the
//! identity; the store, built from the journal, and compared with the backup; every tenant's
//! `log.restored`; the store closed; the identity; the marker's removal.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use provost_protocol::{
    CorrelationId, Timestamp,
    envelope::{ActorRef, Envelope, Source},
    event::{Event, LogRestored},
};

use super::{Backup, BackupEntry, BackupError, Doing, JOURNAL_PREFIX, LogEnd, Progress, Tell};
use crate::{Append, AppendError, Backend as _, Options, Stamped, Store, open::JOURNAL};

/// What a restore is made of.
#[derive(Clone)]
pub struct Restoring<'a> {
    /// What is restored.
    pub backup: &'a Backup,
    /// The folder: empty, or not there yet.
    pub to: PathBuf,
    /// When it is restored: the new epoch is named by it.
    pub now: Timestamp,
    /// Ties the first events of the new epoch together.
    pub correlation_id: CorrelationId,
    /// How the store is opened.
    pub options: Options,
}

/// One tenant's log after a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What was restored.
    pub end: LogEnd,
    /// The epoch in which the log goes on.
    pub epoch: u64,
}

/// Fills an empty folder with what a backup holds, and begins a new epoch of every log.
///
/// Blocks. Not to be called on a thread that drives an async runtime.
///
/// # Errors
/// [`BackupError::NotEmpty`] and [`BackupError::Interrupted`] before anything is touched. After any
/// other, the folder is refused by the kernel and can be removed.
pub fn restore(restoring: &Restoring<'_>, tell: Tell<'_>) -> Result<Vec<Restored>, BackupError> {
    let begun = Instant::now();
    let Restoring { backup, to, .. } = restoring;
    require_empty(to)?;
    prepare(to)?;
    let total = backup.entries().iter().map(|entry| entry.bytes).sum();
    let mut done = 0;
    let (identity, others): (Vec<_>, Vec<_>) = backup
        .entries()
        .iter()
        .partition(|entry| entry.name == IDENTITY);
    for entry in others {
        extract(backup, entry, to, &mut |bytes| {
            done += bytes;
            let doing = Doing::Restoring;
            tell(Progress { doing, done, total });
        })?;
    }
    sync_dir(&to.join(JOURNAL))?;
    sync_dir(to)?;
    let restored = begin_epoch(restoring, tell)?;
    for entry in identity {
        extract(backup, entry, to, &mut |_| {})?;
    }
    sync_dir(to)?;
    outlast(rest_of_second(restoring.now).saturating_sub(begun.elapsed()));
    let marker = to.join(INCOMPLETE);
    fs::remove_file(&marker).map_err(BackupError::io("remove", &marker))?;
    sync_dir(to)?;
    Ok(restored)
}

/// Whether a folder holds a restore that was interrupted, or is still going on.
#[must_use]
pub fn is_incomplete(data_dir: &Path) -> bool {
    fs::symlink_metadata(data_dir.join(INCOMPLETE)).is_ok()
}

fn require_empty(to: &Path) -> Result<(), BackupError> {
    let dir = to.to_owned();
    if is_incomplete(to) {
        return Err(BackupError::Interrupted { dir });
    }
    let found = match fs::read_dir(to) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(BackupError::io("list", to)(error)),
    };
    let Some(entry) = found else {
        return Ok(());
    };
    let name = entry.map_err(BackupError::io("list", to))?.file_name();
    let found = name.to_string_lossy().into_owned();
    Err(BackupError::NotEmpty { dir, found })
}

/// Makes the folders, and the marker before anything else is in them.
fn prepare(to: &Path) -> Result<(), BackupError> {
    make_dir(to)?;
    let marker = to.join(INCOMPLETE);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&marker);
    made.and_then(|mut file| {
        file.write_all(MARKER_TEXT)?;
        file.sync_all()
    })
    .map_err(BackupError::io("create", &marker))?;
    sync_dir(to)?;
    if let Some(parent) = to.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        sync_dir(parent)?;
    }
    make_dir(&to.join(JOURNAL))
}

fn make_dir(dir: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(BackupError::io("create", dir))
}

/// Writes one file as it was, durably; its name is made durable by the caller.
fn extract(
    backup: &Backup,
    entry: &BackupEntry,
    to: &Path,
    moved: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let path = match entry.name.strip_prefix(JOURNAL_PREFIX) {
        Some(name) => to.join(JOURNAL).join(name),
        None => to.join(&entry.name),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(BackupError::io("create", &path))?;
    backup.copy(entry, |piece| {
        let wrote = file.write_all(piece);
        wrote.map_err(BackupError::io("write", &path))?;
        moved(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        Ok(())
    })?;
    file.set_permissions(fs::Permissions::from_mode(entry.mode & MODE_BITS))
        .map_err(BackupError::io("chmod", &path))?;
    file.sync_all().map_err(BackupError::io("sync", &path))
}

/// Builds the state, compares it with the backup, and writes every tenant's first event.
fn begin_epoch(restoring: &Restoring<'_>, tell: Tell<'_>) -> Result<Vec<Restored>, BackupError> {
    let total = restoring.backup.header().records;
    let options = restoring.options.clone();
    let (store, _) = Store::open_telling(&restoring.to, options, &mut |replay| {
        tell(Progress {
            doing: Doing::Replaying,
            done: replay.replayed,
            total,
        });
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(BackupError::io("start a thread for", &restoring.to))?;
    let restored = runtime.block_on(append_all(restoring, &store));
    // Closed in either case: a store that is dropped may be writing still.
    let closed = store.close(CLOSE_PATIENCE);
    let restored = restored?;
    closed?;
    Ok(restored)
}

async fn append_all(
    restoring: &Restoring<'_>,
    store: &Store,
) -> Result<Vec<Restored>, BackupError> {
    let ends = restoring.backup.ends();
    let mut all = Vec::with_capacity(ends.len());
    for some in ends.chunks(APPENDS_AT_ONCE) {
        let mut waiting = Vec::with_capacity(some.len());
        for end in some {
            let head = store.head(end.tenant).await;
            let head = head.map_err(|error| BackupError::Differs(error.to_string()))?;
            let found = head.map(|head| (head.epoch, head.seq, head.frontier.root()));
            if found != Some((end.epoch, end.size, end.root)) {
                let why = format!("the log of tenant {} ends elsewhere", end.tenant);
                return Err(BackupError::Differs(why));
            }
            let (append, restored) = first_event(restoring, end)?;
            waiting.push(store.append(append));
            all.push(restored);
        }
        for answer in waiting {
            answer.await?;
        }
    }
    Ok(all)
}

/// The event that begins a log's new epoch.
fn first_event(restoring: &Restoring<'_>, end: &LogEnd) -> Result<(Append, Restored), BackupError> {
    let epoch = new_epoch(end.epoch, restoring.now);
    let envelope = Envelope {
        tenant: end.tenant,
        epoch,
        seq: end.size + 1,
        time: restoring.now,
        actor: ActorRef::system(),
        source: Source::Kernel,
        correlation_id: restoring.correlation_id,
        idempotency: None,
        event: Event::LogRestored(LogRestored {
            old_epoch: end.epoch,
            size: end.size,
            root: end.root,
        }),
    };
    let stamped = Stamped::new(envelope)
        .map_err(|error| BackupError::Append(AppendError::Refused(error.to_string())))?;
    let append = Append {
        tenant: end.tenant,
        expected: end.size,
        events: vec![stamped],
    };
    let end = end.clone();
    Ok((append, Restored { end, epoch }))
}

/// Named by its time, so that two restores of one backup never share one (ADR 0008); higher than
/// the old one whatever the clock says.
fn new_epoch(old: u64, now: Timestamp) -> u64 {
    let seconds = u64::try_from(now.as_millis() / 1_000).unwrap_or(0);
    seconds.max(old.saturating_add(1))
}

/// The epoch is this second's: no restore that is begun after the end of this one shares it.
fn rest_of_second(now: Timestamp) -> Duration {
    let passed = u64::try_from(now.as_millis().rem_euclid(1_000)).unwrap_or(0);
    Duration::from_millis(1_000 - passed)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a restore blocks by contract, and there is no condition but the time"
)]
fn outlast(rest: Duration) {
    thread::sleep(rest);
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(BackupError::io("sync", dir))
}

impl std::fmt::Debug for Restoring<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restoring")
            .field("to", &self.to)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Stands in a folder from the first moment of a restore to its last.
pub const INCOMPLETE: &str = "restore.incomplete";

/// For whoever finds the file and wonders.
const MARKER_TEXT: &[u8] =
    b"A restore into this folder was begun and not finished.\nRemove the folder and restore again.\n";

/// Says that a folder is an installation; written last.
const IDENTITY: &str = "install.json";

/// Far below the journal's queue, and enough for a thousand tenants to need few groups.
const APPENDS_AT_ONCE: usize = 128;

/// The state of a large installation is written out and synced.
const CLOSE_PATIENCE: Duration = Duration::from_secs(120);

/// Permission bits of owner, group and others; nothing is restored as set-user-id.
const MODE_BITS: u32 = 0o777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_named_by_its_time_and_always_rises() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000 + 999);
        assert_eq!(new_epoch(1, at(1_795_000_000)), 1_795_000_000);
        assert_eq!(new_epoch(1_795_000_000, at(1_795_000_000)), 1_795_000_001);
        assert_eq!(new_epoch(1_795_000_000, at(7)), 1_795_000_001);
        assert_eq!(new_epoch(4, at(-3)), 5);
    }
}
