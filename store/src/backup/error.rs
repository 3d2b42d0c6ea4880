//! Why there is no backup, or no way back from one.

use std::{
    io,
    path::{Path, PathBuf},
};

use provost_protocol::InstallId;

use crate::{AppendError, CloseError, OpenError};

/// Why a backup could not be made, used or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file of that name; it may be the only good backup.
    #[error("{} exists and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The backup would lie in the data folder, and be lost with it.
    #[error("{} lies in the data folder: name a file on another disk", path.display())]
    Inside {
        /// The file.
        path: PathBuf,
    },
    /// Another backup is being written to the same name.
    #[error("{} is being written by another process", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Something lies in the data folder that is no file of an installation.
    #[error(
        "{} is {bytes} bytes long: no file of an installation; move it away", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The kernel went on so fast that the journal could not be held still.
    #[error("the journal's last segment was compressed meanwhile, again and again; try once more")]
    Restless,
    /// The file is something else.
    #[error("{} is no backup", path.display())]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// A newer program made it.
    #[error("{} has format {version}: it was made by a newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// The file ends before the backup does.
    #[error("{} is cut short: it ends at byte {bytes}", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// What stands in the file is not what was written.
    #[error("{} is damaged at byte {offset}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// The journal in the file does not hold.
    #[error("the journal in {} does not hold", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel's own journal does not hold, so there is nothing to make a backup of.
    #[error("the journal does not hold")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is a backup of another installation.
    #[error("the backup is of installation {found}, not of {expected}")]
    OtherInstall {
        /// Whose it should be.
        expected: InstallId,
        /// Whose it is.
        found: InstallId,
    },
    /// The folder that should take the backup holds something.
    #[error("{} holds other files, such as {found}: name an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// One of its files.
        found: String,
    },
    /// The folder holds a restore that was interrupted.
    #[error(
        "{} holds the rest of an interrupted restore: remove the folder and restore again",
        dir.display()
    )]
    Interrupted {
        /// The folder.
        dir: PathBuf,
    },
    /// The restored store does not open.
    #[error("the restored store does not open")]
    Store(#[from] OpenError),
    /// The restored store is not what the backup says.
    #[error("the restored store is not what the backup says: {0}")]
    Differs(String),
    /// The first events of the new epoch could not be written.
    #[error("the first events of the new epoch could not be written")]
    Append(#[from] AppendError),
    /// The restored store did not close.
    #[error("the restored store did not close")]
    Close(#[from] CloseError),
    /// The disk or the system failed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// Whether the backup itself is at fault: it does not hold.
    #[must_use]
    pub const fn is_unsound(&self) -> bool {
        matches!(
            self,
            Self::NoBackup { .. }
                | Self::CutShort { .. }
                | Self::Damaged { .. }
                | Self::Journal { .. }
        )
    }

    /// Whether nothing failed, and what was asked for may not be done.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Exists { .. }
                | Self::Inside { .. }
                | Self::Busy { .. }
                | Self::Foreign { .. }
                | Self::Newer { .. }
                | Self::OtherInstall { .. }
                | Self::NotEmpty { .. }
                | Self::Interrupted { .. }
        )
    }

    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
