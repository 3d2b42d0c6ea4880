//! A deadline for what cannot be interrupted: sled reads damaged files for as long as it likes.

use std::{fs, io, path::Path, sync::mpsc, thread, time::Duration};

use super::DbError;

/// Does something on a thread of its own and waits for it, but no longer than `patience`.
///
/// What is late is left behind with all it holds: whoever hears of it must end the process.
pub(super) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    let (done, hear) = mpsc::sync_channel(1);
    let name = "provost-open".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        // Nobody listens any more to what is late.
        let _ = done.send(work());
    })?;
    match hear.recv_timeout(patience) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(DbError::Late(patience.as_secs())),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(DbError::Sled("its thread ended without a word".to_owned()))
        }
    }
}

/// How long a state of this size may take to open and to be read once.
pub(super) fn patience(dir: &Path) -> io::Result<Duration> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(dir)? {
        bytes = bytes.saturating_add(entry?.metadata()?.len());
    }
    Ok(PATIENCE + Duration::from_secs(bytes / BYTES_A_SECOND_MIN))
}

/// For any state: a machine that is busy with everything else at once. A whole state opens in
/// milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A disk that reads less in a second is broken, and a rebuild reads the journal from it as well.
const BYTES_A_SECOND_MIN: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_late_and_what_ends_is_heard() {
        let (keep, never) = mpsc::sync_channel::<()>(0);
        let late = within(Duration::from_millis(1), move || {
            let _ = never.recv();
            Ok(())
        });
        assert!(matches!(late, Err(DbError::Late(0))), "{late:?}");
        drop(keep);
        let heard = within(Duration::from_secs(60), || Ok(7));
        assert_eq!(heard.unwrap(), 7);
    }

    #[test]
    fn a_larger_state_is_given_more_time() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(patience(dir.path()).unwrap(), PATIENCE);
        let file = fs::File::create(dir.path().join("db")).unwrap();
        file.set_len(10 * BYTES_A_SECOND_MIN).unwrap();
        let longer = PATIENCE + Duration::from_secs(10);
        assert_eq!(patience(dir.path()).unwrap(), longer);
    }
}
