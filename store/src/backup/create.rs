//! Making a backup beside a running kernel.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use provost_journal::{Reader as JournalReader, Segment, Snapshot, disk::DiskFile};
use provost_protocol::{InstallId, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{
    Backup, BackupError, BackupHeader, Doing, JOURNAL_PREFIX, Progress, Tell,
    format::{self, EntryHead},
    open::SMALL_BYTES_MAX,
    tape::{self, Writer},
};
use crate::{marker, open::JOURNAL};

/// What a backup is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Making {
    /// The kernel's data folder; a kernel may be running in it.
    pub data_dir: PathBuf,
    /// The file to be made. It holds private keys.
    pub to: PathBuf,
    /// Whose data it is.
    pub install_id: InstallId,
    /// When it is made.
    pub created: Timestamp,
    /// The version of the program that makes it.
    pub program: String,
}

/// A file of the journal, held open, so that what it is called may change.
struct Held {
    segment: Segment,
    file: Arc<dyn DiskFile>,
}

/// Makes a backup; gives it back as [`Backup::open`] has read it.
///
/// Blocks, for as long as reading the journal twice and writing it once takes.
///
/// # Errors
/// [`BackupError`]: there is a file of that name, the journal does not hold, or the disk failed.
/// What was written by then stays as `FILE.new`, which is no backup.
pub fn create(making: &Making, tell: Tell<'_>) -> Result<Backup, BackupError> {
    let Making { data_dir, to, .. } = making;
    require_free(to)?;
    require_outside(to, data_dir)?;
    let (snapshot, last) = held_still(&data_dir.join(JOURNAL))?;
    let reader = snapshot.reader();
    let header = checked(making, reader, tell)?;
    let new = with_suffix(to, ".new");
    let mut writer = Writer::new(make_new(&new)?, &new);
    let head =
        format::head(&header).map_err(|error| BackupError::io("write", &new)(error.into()))?;
    writer.put(&head)?;
    let mut entries = put_small_files(&mut writer, data_dir)?;
    entries += put_segments(&mut writer, reader, &last, tell)?;
    writer.put(&format::tail(entries, writer.written()))?;
    writer.put(&writer.digest())?;
    writer.put(format::END)?;
    let file = writer.finish()?;
    let backup = Backup::open(&new, tell)?;
    if *backup.header() != header {
        let why = "it is not what was written".to_owned();
        let (path, offset) = (new, 0);
        return Err(BackupError::Damaged { path, offset, why });
    }
    name(&new, to)?;
    drop(file);
    Ok(backup)
}

fn require_free(to: &Path) -> Result<(), BackupError> {
    // A link that leads nowhere is a name in use as well.
    match fs::symlink_metadata(to) {
        Ok(_) => Err(BackupError::Exists {
            path: to.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io("examine", to)(error)),
    }
}

/// A backup in the folder itself would be lost with it, and be in the next backup.
fn require_outside(to: &Path, data_dir: &Path) -> Result<(), BackupError> {
    let canonical = |path: &Path| fs::canonicalize(path).map_err(BackupError::io("find", path));
    if canonical(parent(to))?.starts_with(canonical(data_dir)?) {
        let path = to.to_owned();
        return Err(BackupError::Inside { path });
    }
    Ok(())
}

/// Looks at the journal as it is now; gives its last segment, synced and held open.
fn held_still(journal: &Path) -> Result<(Snapshot, Held), BackupError> {
    for _ in 0..SNAPSHOT_TRIES_MAX {
        let snapshot = Snapshot::open(journal).map_err(source)?;
        let number = snapshot.reader().end().segment;
        let (segment, file) = snapshot.reader().open_stored(number).map_err(source)?;
        // Sealed and compressed since: then it goes on after the end, and another one is the last.
        if segment.compressed {
            continue;
        }
        // Its last group may be written and not yet durable. It must not come back from a backup
        // after a power cut took it from the kernel, which would number another event like it.
        file.sync_data()
            .map_err(BackupError::io("sync", &segment.path))?;
        return Ok((snapshot, Held { segment, file }));
    }
    Err(BackupError::Restless)
}

/// Checks every byte of the journal, and counts.
fn checked(
    making: &Making,
    reader: &JournalReader,
    tell: Tell<'_>,
) -> Result<BackupHeader, BackupError> {
    let total = stored_bytes(reader);
    let (mut groups, mut records, mut done) = (0, 0, 0);
    let sizes = reader.segments();
    for (segment, size) in reader.verify_all().zip(&sizes) {
        let segment = segment.map_err(source)?;
        groups += segment.groups;
        records += segment.records;
        done += size.stored_bytes;
        let doing = Doing::Checking;
        tell(Progress { doing, done, total });
    }
    let end = reader.end();
    Ok(BackupHeader {
        format: format::VERSION,
        install_id: making.install_id,
        created: making.created,
        program: making.program.clone(),
        end_segment: end.segment,
        end_offset: end.offset,
        groups,
        records,
    })
}

fn stored_bytes(reader: &JournalReader) -> u64 {
    reader
        .segments()
        .iter()
        .map(|segment| segment.stored_bytes)
        .sum()
}

/// Makes the file that will be the backup, alone: what an interrupted attempt left is replaced.
fn make_new(path: &Path) -> Result<File, BackupError> {
    let failed = |what| BackupError::io(what, path);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(path)
        .map_err(failed("create"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let path = path.to_owned();
            return Err(BackupError::Busy { path });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    file.set_len(0).map_err(failed("empty"))?;
    // One that was left may have another mode, and there will be keys in it.
    file.set_permissions(fs::Permissions::from_mode(PRIVATE))
        .map_err(failed("chmod"))?;
    Ok(file)
}

/// Puts every file in that lies in the data folder itself; gives their number.
fn put_small_files(writer: &mut Writer, data_dir: &Path) -> Result<u32, BackupError> {
    let mut names = Vec::new();
    let failed = || BackupError::io("list", data_dir);
    for entry in fs::read_dir(data_dir).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A key may be a link to where keys are kept.
        let is_file = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        if is_file && format::is_name(&name) && !marker::is_file(&name) {
            names.push(name);
        }
    }
    names.sort();
    for name in &names {
        put_small_file(writer, data_dir, name)?;
    }
    Ok(u32::try_from(names.len()).unwrap_or(u32::MAX))
}

fn put_small_file(writer: &mut Writer, data_dir: &Path, name: &str) -> Result<(), BackupError> {
    let path = data_dir.join(name);
    let file = File::open(&path).map_err(BackupError::io("open", &path))?;
    let metadata = file.metadata().map_err(BackupError::io("examine", &path))?;
    let mut content = Vec::new();
    file.take(SMALL_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(BackupError::io("read", &path))?;
    let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if bytes > SMALL_BYTES_MAX {
        let bytes = metadata.len();
        return Err(BackupError::Foreign { path, bytes });
    }
    let head = EntryHead {
        name: name.to_owned(),
        mode: metadata.permissions().mode() & MODE_BITS,
        bytes,
    };
    writer.put(&head.encode())?;
    writer.put(&content)?;
    writer.put(&Sha256::digest(&content))
}

/// Puts all segments in as they are stored; gives their number.
fn put_segments(
    writer: &mut Writer,
    reader: &JournalReader,
    last: &Held,
    tell: Tell<'_>,
) -> Result<u32, BackupError> {
    let total = stored_bytes(reader);
    let (mut count, mut done) = (0, 0);
    for number in 1..last.segment.number {
        let (segment, file) = reader.open_stored(number).map_err(source)?;
        put_segment(writer, &Held { segment, file }, (&mut done, total), tell)?;
        count += 1;
    }
    put_segment(writer, last, (&mut done, total), tell)?;
    Ok(count + 1)
}

fn put_segment(
    writer: &mut Writer,
    held: &Held,
    (done, total): (&mut u64, u64),
    tell: Tell<'_>,
) -> Result<(), BackupError> {
    let Held { segment, file } = held;
    let name = segment.path.file_name().unwrap_or_default();
    let head = EntryHead {
        name: format!("{JOURNAL_PREFIX}{}", name.to_string_lossy()),
        mode: PRIVATE,
        bytes: segment.stored_bytes,
    };
    writer.put(&head.encode())?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; tape::PIECE_BYTES];
    let mut at = 0;
    for piece in tape::pieces(segment.stored_bytes) {
        let piece = &mut buffer[..piece];
        read_exact(file.as_ref(), at, piece).map_err(BackupError::io("read", &segment.path))?;
        digest.update(&*piece);
        writer.put(piece)?;
        let moved = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        at += moved;
        *done += moved;
        tell(Progress {
            doing: Doing::Writing,
            done: *done,
            total,
        });
    }
    writer.put(&digest.finalize())
}

fn read_exact(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + u64::try_from(filled).unwrap_or(u64::MAX);
        match file.read_at(at, &mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives the finished file its name, durably, and takes it from no other file.
fn name(new: &Path, to: &Path) -> Result<(), BackupError> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, new, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let path = to.to_owned();
            return Err(BackupError::Exists { path });
        }
        // Some file systems cannot: between looking and renaming another one may come.
        Err(Errno::INVAL | Errno::NOSYS) => {
            require_free(to)?;
            fs::rename(new, to).map_err(BackupError::io("rename to", to))?;
        }
        Err(error) => return Err(BackupError::io("rename to", to)(error.into())),
    }
    let dir = parent(to);
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(BackupError::io("sync", dir))
}

/// The folder that a file is in.
fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackupError {
    BackupError::Source(error.into())
}

/// Each time a whole segment was written and compressed in the microseconds between two calls.
const SNAPSHOT_TRIES_MAX: u32 = 5;
/// Whoever reads a backup reads the keys.
const PRIVATE: u32 = 0o600;
/// Permission bits, without the type of the file.
const MODE_BITS: u32 = 0o7777;
