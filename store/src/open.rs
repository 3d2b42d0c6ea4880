//! Opening a store: lock, journal, marker, state, replay.

mod state;

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use provost_journal::{
    GroupWriter, Journal, Options as JournalOptions, Position, Recovery,
    disk::{Disk, RealDisk},
};

use self::state::{Log, open_state};
use crate::{
    backend::ReadError,
    damage::{Alarm, Damage, DamageHook},
    doubt::Doubt,
    handover::{Giver, Handover},
    keeper::{Duties, Keeper},
    readers::Readers,
    segments::{Checked, Segments, name_closed},
    store::{Closing, Parts, Store},
    writer::{Care, FatalHook, StoreSink, start_applier},
};

/// What can be chosen about a store.
#[derive(Clone)]
pub struct Options {
    /// What can be chosen about its journal.
    pub journal: JournalOptions,
    /// Rebuild the state even if nothing speaks against it.
    pub rebuild: bool,
    /// Ends the process when nothing else is right.
    pub fatal: FatalHook,
    /// The disk under the journal and its indexes.
    pub disk: Arc<dyn Disk>,
    /// Whether sealed segments are compressed in the background.
    pub compress: bool,
    /// How long a start checks stored bytes before it serves; the rest is checked beside.
    pub start_check: Duration,
    /// Hears of damage that the store goes on with: in an index, which it builds again; in a
    /// segment, where it is found after the start.
    pub damaged: DamageHook,
}

impl Options {
    /// What is right for a daemon, which says how the process ends when nothing else is right.
    #[must_use]
    pub fn new(fatal: FatalHook) -> Self {
        Self {
            journal: JournalOptions::default(),
            rebuild: false,
            fatal,
            disk: Arc::new(RealDisk),
            compress: true,
            start_check: START_CHECK,
            // It is logged in any case.
            damaged: Arc::new(|_| ()),
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// In use by another process, damaged, or of a newer format.
    #[error("the journal does not open")]
    Journal(#[source] provost_journal::OpenError),
    /// A record in the journal cannot be read or understood.
    #[error("the journal cannot be replayed")]
    Replay(#[from] ReadError),
    /// Stored bytes of a segment are not what was written.
    #[error("the journal is damaged: {0}; {REPAIR_HINT}")]
    Damaged(Damage),
    /// The state does not even open after a rebuild.
    #[error("the state does not open: {0}")]
    State(String),
    /// A file or thread could not be made.
    #[error("the store's folder or threads cannot be prepared")]
    Io(#[from] std::io::Error),
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// Events replayed so far.
    pub replayed: u64,
    /// How far into the journal that is.
    pub at: Position,
    /// Events in the journal; fewer are replayed where the state holds some of them already.
    pub total: u64,
}

impl Replay {
    /// So far; how much there is in all is for whoever knows the journal.
    const fn up_to(replayed: u64, at: Position) -> Self {
        Self {
            replayed,
            at,
            total: replayed,
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What the journal found.
    pub recovery: Recovery,
    /// Why the state was rebuilt, if it was.
    pub rebuilt: Option<String>,
    /// Indexes of sealed segments that were missing or damaged and are built again.
    pub indexes_rebuilt: u64,
    /// Events replayed into the state.
    pub replayed: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Store {
    /// Opens or creates a store in a folder that no other process has open.
    ///
    /// What is found damaged in the journal is refused; a state in doubt is rebuilt, loudly.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), OpenError> {
        Self::open_telling(dir, options, &mut |_| {})
    }

    /// As [`open`](Self::open), and says how far a replay is, about every thousand events.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_telling(
        dir: &Path,
        options: Options,
        tell: &mut dyn FnMut(Replay),
    ) -> Result<(Self, Opened), OpenError> {
        let begun = Instant::now();
        fs::create_dir_all(dir)?;
        let (journal, recovery) = Journal::open_on(
            Arc::clone(&options.disk),
            dir.join(JOURNAL),
            options.journal,
        )
        .map_err(|error| OpenError::of_journal(error, &options.disk, dir))?;
        let log = Log {
            reader: journal.reader(),
            disk: options.disk,
            dir: dir.to_path_buf(),
        };
        let total = recovery.records;
        let tell: &mut dyn FnMut(Replay) = &mut |replay| tell(Replay { total, ..replay });
        let (db, rebuilt, replayed) = open_state(&log, options.rebuild, tell)?;
        let segments = Segments::open(log.reader, log.disk, Alarm::new(options.damaged))?;
        let segments = Arc::new(segments);
        let unchecked = check_stored(&segments, options.start_check)?;
        let indexes_rebuilt = segments.rebuilt();
        let doubt = Doubt::new(dir.to_path_buf(), Arc::clone(&options.fatal));
        let duties = Duties {
            segments: Arc::clone(&segments),
            unchecked,
            compress: options.compress,
            fatal: Arc::clone(&options.fatal),
        };
        let (keeper, bell) = Keeper::start(duties, doubt.clone())?;
        let care = Care {
            segments: Arc::clone(&segments),
            bell,
        };
        let handover = Arc::new(Handover::default());
        let applier = start_applier(db.clone(), doubt.clone(), Arc::clone(&handover), care)?;
        let out = Giver::new(Arc::clone(&handover));
        let sink = StoreSink::new(db.clone(), doubt.clone(), Arc::clone(&segments), out);
        let fatal = options.fatal;
        let writer = GroupWriter::start(journal, sink, move |why| fatal(&why.to_string()))?;
        let readers = Readers::start(db.clone(), Arc::clone(&segments), doubt.clone(), handover)?;
        let closing = Closing {
            dir: dir.to_path_buf(),
            db,
            doubt,
            applier,
            keeper,
            writer: None,
        };
        let parts = Parts {
            writer,
            segments,
            readers,
            closing,
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let opened = Opened {
            recovery,
            rebuilt,
            indexes_rebuilt,
            replayed,
            took_ms,
        };
        tracing::info!(
            replayed,
            took_ms,
            rebuilt = opened.rebuilt.as_deref(),
            indexes_rebuilt,
            journal.groups = opened.recovery.groups,
            "store opened"
        );
        Ok((Self::new(parts), opened))
    }
}

impl OpenError {
    /// Names whose events are hit, where it is damage.
    fn of_journal(error: provost_journal::OpenError, disk: &Arc<dyn Disk>, dir: &Path) -> Self {
        match error {
            provost_journal::OpenError::Damaged { damage, .. } => {
                let named = name_closed(disk, &dir.join(JOURNAL), &damage);
                named.log();
                Self::Damaged(named)
            }
            error => Self::Journal(error),
        }
    }
}

/// Checks stored bytes, newest segments first, as long as a start may; says what is left to check.
fn check_stored(segments: &Segments, patience: Duration) -> Result<VecDeque<u64>, OpenError> {
    let begun = Instant::now();
    let mut unchecked: VecDeque<u64> = segments.sealed().into();
    while begun.elapsed() < patience {
        let Some(segment) = unchecked.pop_front() else {
            break;
        };
        match segments.check(segment)? {
            Checked::Whole | Checked::IndexRebuilt => {}
            Checked::Damaged(damage) => {
                damage.log();
                return Err(OpenError::Damaged(damage));
            }
        }
    }
    Ok(unchecked)
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

/// With what follows it, a start after a kill stays well under five seconds.
const START_CHECK: Duration = Duration::from_secs(2);

/// Nothing here repairs by guessing: the bytes were acknowledged to somebody.
const REPAIR_HINT: &str = "keep a copy of the folder, then restore a backup, or bring this file back from a copy made while the kernel was stopped";

/// Where a store keeps its journal.
pub(crate) const JOURNAL: &str = "journal";

/// Where a store keeps its state; removing it loses nothing.
pub(crate) const STATE: &str = "state";

/// Where the state of a store in `dir` is, for those who tell people which folder may be removed.
#[must_use]
pub fn state_folder(dir: &Path) -> PathBuf {
    dir.join(STATE)
}
