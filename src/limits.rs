//! What the operating system allows this process.

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::signal::unix::{SignalKind, signal};

/// How many files may be open at once; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// What the process was started with.
    pub found: Option<u64>,
    /// What it has.
    pub raised: Option<u64>,
}

/// Raises the soft limit of open files to the hard one, and logs both.
///
/// Every connection is a file. The soft limit is 1,024 almost everywhere, for the sake of programs
/// that use `select`; this one does not.
///
/// # Errors
/// What the operating system said; the limit is then as it was found.
pub fn raise_open_files() -> Result<OpenFiles, Errno> {
    let limit = getrlimit(Resource::Nofile);
    let files = OpenFiles {
        found: limit.current,
        raised: limit.maximum,
    };
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    tracing::info!(
        files.found = shown(files.found),
        files.raised = shown(files.raised),
        "open files"
    );
    Ok(files)
}

/// Makes a write beyond the largest file size fail (`EFBIG`) in place of ending the process.
///
/// The signal's default is to kill. With a handler registered, which stays for the life of the
/// process, the write comes back with an error that the journal answers with 503. To be called
/// once, inside the async runtime.
///
/// # Errors
/// What the operating system said.
pub fn survive_large_files() -> std::io::Result<()> {
    signal(SignalKind::from_raw(SIGXFSZ.as_raw())).map(drop)
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

const SIGXFSZ: rustix::process::Signal = rustix::process::Signal::XFSZ;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_hard_one_afterwards() {
        let files = raise_open_files().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(limit.current, files.raised);
    }

    #[tokio::test]
    async fn a_file_size_signal_no_longer_kills() {
        survive_large_files().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), SIGXFSZ).unwrap();
        // Killed here if the handler were not in place: a process-directed signal is delivered
        // before the next system call of an only willing thread returns, or to another thread.
        tokio::task::yield_now().await;
    }
}
