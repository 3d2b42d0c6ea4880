//! Key files: written whole or not at all, durable when the call returns, readable by their owner
//! alone.
//!
//! A crash at any moment leaves the old content or the new one: the bytes go to a temporary file
//! in the same directory, which is synced, renamed over the name, and the directory is synced.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::secret::Secret;

/// Why a key file could not be read or written. It names the file, never its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
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
    /// Others may read the file, so its key must be taken as known to them. The owner must act.
    #[error("{} has mode {mode:04o}: a private file must be readable by its owner only (chmod 600)", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Longer than any file of ours.
    #[error("{} is longer than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and is not overwritten: it may be the only copy of a key.
    #[error("{} exists and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    /// Whether the file is simply not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Writes or replaces a file that only its owner may read.
///
/// # Errors
/// [`FileError::Io`]; the old content, if any, is still there.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, PRIVATE, Existing::Replace)
}

/// Writes a file that only its owner may read and that must not be there yet.
///
/// # Errors
/// [`FileError::Exists`] when it is; [`FileError::Io`].
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, PRIVATE, Existing::Keep)
}

/// Writes or replaces a file that everybody may read, such as a certificate.
///
/// # Errors
/// [`FileError::Io`]; the old content, if any, is still there.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, PUBLIC, Existing::Replace)
}

/// Reads a file that only its owner may read; refuses one that others can.
///
/// # Errors
/// [`FileError::TooOpen`] names the file and its mode; [`FileError::TooLarge`];
/// [`FileError::Io`].
pub fn read_private(path: &Path) -> Result<Secret<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(|source| io_error("open", path, source))?;
    let metadata = file
        .metadata()
        .map_err(|source| io_error("examine", path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(FileError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    read_open(file, path).map(Secret::new)
}

/// Reads a file that everybody may read.
///
/// # Errors
/// [`FileError::TooLarge`]; [`FileError::Io`].
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    read_open(
        File::open(path).map_err(|source| io_error("open", path, source))?,
        path,
    )
}

/// Makes a directory that only its owner may enter, with its parents; an existing one is left as
/// it is.
///
/// # Errors
/// [`FileError::Io`].
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| io_error("create", path, source))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes renames and new names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| io_error("sync the directory", dir, source))
}

pub(crate) fn io_error(what: &'static str, path: &Path, source: io::Error) -> FileError {
    FileError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// What to do with a file that is there.
#[derive(Clone, Copy)]
enum Existing {
    Replace,
    Keep,
}

fn write(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> Result<(), FileError> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or_else(|| Path::new("."));
    let failed = |what| move |source| io_error(what, path, source);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(dir)
        .map_err(failed("create a file beside"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    // Explicitly, because the umask has narrowed what was asked for above.
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))
        .map_err(failed("chmod"))?;
    file.as_file().sync_all().map_err(failed("sync"))?;
    let renamed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    match renamed {
        Ok(_) => sync_dir(dir),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Exists {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(io_error("rename to", path, error.error)),
    }
}

fn read_open(file: File, path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error("read", path, source))?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= FILE_BYTES_MAX => Ok(bytes),
        _ => Err(FileError::TooLarge {
            path: path.to_owned(),
        }),
    }
}

/// Removes a file if it is there.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, source))
        }
        _ => Ok(()),
    }
}

/// A trust bundle with several roots is a few kilobytes; nothing of ours comes near this.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Any right of group or others.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_private_file_is_written_with_mode_0600_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_private(&path).unwrap().expose(), b"two");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_private_file_that_others_may_read_is_refused_by_name_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_private(&path, b"one").unwrap();
        for open in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            let refused = read_private(&path).unwrap_err();
            let FileError::TooOpen { path: named, mode } = &refused else {
                panic!("{refused:?}");
            };
            assert_eq!((named, *mode), (&path, open));
            assert!(refused.to_string().contains("a.key"), "{refused}");
            assert!(
                refused.to_string().contains(&format!("{open:04o}")),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_key_that_is_there_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        create_private(&path, b"one").unwrap();
        assert!(matches!(
            create_private(&path, b"two"),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(read_private(&path).unwrap().expose(), b"one");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        fs::write(
            &path,
            vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1],
        )
        .unwrap();
        assert!(matches!(
            read_public(&path),
            Err(FileError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_private_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }
}
