//! Small files, written whole or not at all, durable when the call returns, private to their owner.
//!
//! A crash at any moment leaves the old content or the new: the bytes go to a temporary file in
//! the same folder, which is synced, renamed over the name, and the folder is synced.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

/// Why a file of the connector could not be kept or read. It names the file, never its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The operating system refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file does not hold what the connector wrote; nothing is guessed over it.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The steps of a write, each durable or harmless before the next; a test stops before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Fill,
    SyncFile,
    Rename,
    SyncFolder,
}

#[cfg(test)]
pub(crate) const STEPS: [Step; 5] = [
    Step::Create,
    Step::Fill,
    Step::SyncFile,
    Step::Rename,
    Step::SyncFolder,
];

/// Writes or replaces a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    write_stepwise(path, bytes, |_| Ok(()))
}

/// As [`write`]; `before` each step may end it.
pub(crate) fn write_stepwise(
    path: &Path,
    bytes: &[u8],
    before: impl Fn(Step) -> Result<(), DurableError>,
) -> Result<(), DurableError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!("{NEW_PREFIX}{name}"));
    before(Step::Create)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed("create", &new))?;
    before(Step::Fill)?;
    file.write_all(bytes).map_err(failed("write", &new))?;
    before(Step::SyncFile)?;
    file.sync_all().map_err(failed("sync", &new))?;
    before(Step::Rename)?;
    fs::rename(&new, path).map_err(failed("rename to", path))?;
    before(Step::SyncFolder)?;
    sync_folder(folder)
}

/// Reads a file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, DurableError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(DurableError::Damaged {
            path: path.to_owned(),
        });
    }
    Ok(Some(bytes))
}

/// Reads a file of JSON; `None` when it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DurableError> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| DurableError::Damaged {
            path: path.to_owned(),
        })
}

/// Removes a file; one that is not there is as asked for.
pub(crate) fn remove(path: &Path) -> Result<(), DurableError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a folder that only its owner may enter, durably.
pub(crate) fn create_folder(path: &Path) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("create", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// The files of a folder whose names end in `.json`; what an interrupted write left is passed over.
pub(crate) fn json_files(folder: &Path) -> Result<Vec<PathBuf>, DurableError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".json") && !name.starts_with(NEW_PREFIX) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Appends a line to a file, durably.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<(), DurableError> {
    let fresh = !path.exists();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))?;
    file.write_all(format!("{line}\n").as_bytes())
        .map_err(failed("write", path))?;
    file.sync_data().map_err(failed("sync", path))?;
    if fresh {
        path.parent().map_or(Ok(()), sync_folder)
    } else {
        Ok(())
    }
}

pub(crate) fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DurableError + use<'a> {
    move |source| DurableError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

fn sync_folder(folder: &Path) -> Result<(), DurableError> {
    // A bare file name has the empty folder as its parent.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let opened = File::open(folder).map_err(failed("open", folder))?;
    opened.sync_all().map_err(failed("sync", folder))
}

/// A value and the file that keeps it: what is seen in memory is on disk already.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    path: PathBuf,
    value: Mutex<T>,
    writing: Mutex<()>,
}

impl<T: Serialize + DeserializeOwned + Clone + Default + PartialEq> Kept<T> {
    /// Reads the file, or begins with the default.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DurableError> {
        let value = read_json(&path)?.unwrap_or_default();
        Ok(Self {
            path,
            value: Mutex::new(value),
            writing: Mutex::new(()),
        })
    }

    /// The value in force.
    pub(crate) fn get(&self) -> T {
        self.value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the value: on disk first, then in memory. Blocks on the disk.
    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) -> Result<T, DurableError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.get();
        let mut next = held.clone();
        change(&mut next);
        if next == held {
            return Ok(held);
        }
        let json = serde_json::to_vec_pretty(&next).map_err(|_| DurableError::Damaged {
            path: self.path.clone(),
        })?;
        write(&self.path, &json)?;
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        Ok(next)
    }
}

/// Begins the name of a file that is being written.
const NEW_PREFIX: &str = ".new-";

/// A license of 256 KiB as a JSON string in its tenant's file, with room for escapes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn stop_before(stop: Step) -> impl Fn(Step) -> Result<(), DurableError> {
        move |step| {
            if step == stop {
                Err(DurableError::Damaged {
                    path: PathBuf::from("stopped"),
                })
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn a_write_that_stops_at_any_step_leaves_the_old_content_or_the_new() {
        for step in STEPS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.json");
            write(&path, b"\"old\"").unwrap();
            write_stepwise(&path, b"\"new\"", stop_before(step)).unwrap_err();
            let found: String = read_json(&path).unwrap().unwrap();
            let expected = if step == Step::SyncFolder {
                "new"
            } else {
                "old"
            };
            assert_eq!(found, expected, "{step:?}");
            assert_eq!(
                json_files(folder.path()).unwrap(),
                std::slice::from_ref(&path)
            );
            write(&path, b"\"later\"").unwrap();
            assert_eq!(read_json::<String>(&path).unwrap().unwrap(), "later");
        }
    }

    #[test]
    fn a_kept_value_is_seen_only_once_it_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        create_folder(&inner).unwrap();
        let kept = Kept::<u64>::open(inner.join("n.json")).unwrap();
        assert_eq!(kept.update(|n| *n = 7).unwrap(), 7);
        fs::remove_dir_all(&inner).unwrap();
        assert!(kept.update(|n| *n = 8).is_err());
        assert_eq!(kept.get(), 7);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_guessed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.json");
        fs::write(&path, b"{").unwrap();
        let error = Kept::<u64>::open(path.clone()).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is damaged", path.display()));
    }
}
