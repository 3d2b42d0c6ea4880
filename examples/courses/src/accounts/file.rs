//! Reads and atomically replaces account files.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Account, Key, Left};

/// Why an account could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk or the folder refused.
    #[error("account storage failed at {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not an account of this pilot.
    #[error("account file {path} is not readable as an account")]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The account has grown beyond what one file may hold.
    #[error("account file {path} is over {ACCOUNT_BYTES_MAX} bytes")]
    TooLarge { path: PathBuf },
    /// The file names another person than its place says.
    #[error("account file {path} belongs to another identity")]
    Misplaced { path: PathBuf },
    /// The thread that did the work ended without an answer.
    #[error("account storage thread ended")]
    Thread,
}

/// Runs disk work away from the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Thread)?
}

pub(super) fn read(root: &Path, key: Key) -> Result<Account, StoreError> {
    let path = place(root, key);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Account::new(key)),
        Err(error) => return Err(at(&path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(ACCOUNT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(at(&path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > ACCOUNT_BYTES_MAX) {
        return Err(StoreError::TooLarge { path });
    }
    let account: Account =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Damaged {
            path: path.clone(),
            source,
        })?;
    if account.key() != key {
        return Err(StoreError::Misplaced { path });
    }
    Ok(account)
}

pub(super) fn write(root: &Path, key: Key, account: &Account) -> Result<(), StoreError> {
    let path = place(root, key);
    let folder = root.join(key.tenant.to_string());
    let bytes = serde_json::to_vec(account).map_err(|source| StoreError::Damaged {
        path: path.clone(),
        source,
    })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > ACCOUNT_BYTES_MAX) {
        return Err(StoreError::TooLarge { path });
    }
    let fresh = !folder.is_dir();
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    if fresh {
        sync_folder(root)?;
    }
    let mut draft = tempfile::Builder::new()
        .prefix(DRAFT)
        .tempfile_in(&folder)
        .map_err(at(&folder))?;
    draft.write_all(&bytes).map_err(at(&path))?;
    draft.as_file().sync_all().map_err(at(&path))?;
    draft
        .persist(&path)
        .map_err(|error| at(&path)(error.error))?;
    sync_folder(&folder)
}

/// Names the accounts with events to tell or sessions left open, and removes torn drafts.
pub(super) fn scan(root: &Path) -> Result<Vec<Left>, StoreError> {
    fs::create_dir_all(root).map_err(at(root))?;
    let mut found = Vec::new();
    for tenant in fs::read_dir(root).map_err(at(root))? {
        let folder = tenant.map_err(at(root))?.path();
        let Some(tenant) = id_of(&folder) else {
            continue;
        };
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(DRAFT))
            {
                fs::remove_file(&path).map_err(at(&path))?;
                continue;
            }
            let Some(identity) = id_of(&path) else {
                continue;
            };
            let key = Key { tenant, identity };
            let account = read(root, key)?;
            if !account.outbox.is_empty() || !account.open_sessions.is_empty() {
                let sessions = account.open_sessions.keys().copied().collect();
                found.push(Left { key, sessions });
            }
        }
    }
    Ok(found)
}

fn id_of(path: &Path) -> Option<Uuid> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn place(root: &Path, key: Key) -> PathBuf {
    root.join(key.tenant.to_string())
        .join(format!("{}.json", key.identity))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

/// Three courses with twenty attempts each take under 40 KiB; beyond this something is wrong.
const ACCOUNT_BYTES_MAX: u64 = 1024 * 1024;
/// Files that were being written when the process ended; never an account.
const DRAFT: &str = ".draft-";

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            tenant: Uuid::now_v7(),
            identity: Uuid::now_v7(),
        }
    }

    #[test]
    fn an_account_is_read_as_it_was_written_and_no_draft_stays() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let mut account = Account::new(key);
        account.name = "Ada".to_owned();
        write(folder.path(), key, &account).unwrap();
        assert_eq!(read(folder.path(), key).unwrap(), account);
        let files = fs::read_dir(folder.path().join(key.tenant.to_string()))
            .unwrap()
            .count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_file_moved_to_another_tenant_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mine = key();
        write(folder.path(), mine, &Account::new(mine)).unwrap();
        let theirs = Key {
            tenant: Uuid::now_v7(),
            identity: mine.identity,
        };
        fs::create_dir_all(folder.path().join(theirs.tenant.to_string())).unwrap();
        fs::copy(place(folder.path(), mine), place(folder.path(), theirs)).unwrap();
        assert!(matches!(
            read(folder.path(), theirs),
            Err(StoreError::Misplaced { .. })
        ));
    }

    #[test]
    fn a_start_removes_drafts_and_names_sessions_left_open() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let mut account = Account::new(key);
        let session = Uuid::now_v7();
        account
            .open_sessions
            .insert(session, "2026-01-01T00:00:00.000Z".to_owned());
        write(folder.path(), key, &account).unwrap();
        let draft = folder.path().join(key.tenant.to_string()).join(".draft-x");
        fs::write(&draft, "{").unwrap();
        assert_eq!(
            scan(folder.path()).unwrap(),
            vec![Left {
                key,
                sessions: vec![session]
            }]
        );
        assert!(!draft.exists());
    }
}
