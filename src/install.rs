//! Who this installation is: one small file in the data folder, written once by `provost init`.
//!
//! Without it the data folder is not an installation, and the daemon does not start: it never makes
//! up an identity that certificates and logs were not made for.

use std::path::{Path, PathBuf};

use provost_certs::files::{self, FileError};
use provost_protocol::{InstallId, TenantId};
use provost_store::backup;
use serde::{Deserialize, Serialize};

/// Who this installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// Its id: the trust domain of its certificates.
    pub install_id: InstallId,
    /// The operator's own tenant: signing keys and the first admin key stand in its log.
    pub internal_tenant: TenantId,
}

/// Why a data folder has no identity that can be used. Whoever runs the kernel must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The folder was never initialised.
    #[error("{} is no installation: run `provost init` first", data_dir.display())]
    NotInitialised {
        /// The folder.
        data_dir: PathBuf,
    },
    /// A backup was being restored into the folder, and was not to its end.
    #[error(
        "{} holds the rest of an interrupted restore ({}): remove the folder and restore again",
        data_dir.display(), backup::INCOMPLETE
    )]
    RestoreIncomplete {
        /// The folder.
        data_dir: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the installation's identity cannot be read or written")]
    File(#[from] FileError),
    /// The file is there and is not what it must be.
    #[error("{} is malformed: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Install {
    /// Reads the identity of a data folder.
    ///
    /// # Errors
    /// [`InstallError`].
    pub fn load(data_dir: &Path) -> Result<Self, InstallError> {
        if backup::is_incomplete(data_dir) {
            let data_dir = data_dir.to_owned();
            return Err(InstallError::RestoreIncomplete { data_dir });
        }
        let path = data_dir.join(FILE_NAME);
        let bytes = files::read_private(&path).map_err(|error| {
            if error.is_not_found() {
                let data_dir = data_dir.to_owned();
                InstallError::NotInitialised { data_dir }
            } else {
                InstallError::File(error)
            }
        })?;
        serde_json::from_slice(bytes.expose()).map_err(|error| InstallError::Malformed {
            path,
            why: error.to_string(),
        })
    }

    /// Writes the identity into a data folder that has none yet; it is durable afterwards.
    ///
    /// # Errors
    /// [`InstallError::File`] when there is one already: an installation is never renamed.
    pub fn save(&self, data_dir: &Path) -> Result<(), InstallError> {
        let mut text = serde_json::to_string_pretty(self).expect("two ids are always JSON");
        text.push('\n');
        files::create_private(&data_dir.join(FILE_NAME), text.as_bytes())?;
        Ok(())
    }
}

/// Stands beside the keys in the data folder.
pub const FILE_NAME: &str = "install.json";

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use provost_protocol::Timestamp;

    use super::*;

    fn install() -> Install {
        Install {
            install_id: InstallId::from_parts(Timestamp::EPOCH, [1; 10]),
            internal_tenant: TenantId::from_parts(Timestamp::EPOCH, [2; 10]),
        }
    }

    #[test]
    fn an_identity_is_read_back_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        install().save(dir.path()).unwrap();
        assert_eq!(Install::load(dir.path()).unwrap(), install());
        let mode = fs::metadata(dir.path().join(FILE_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(matches!(
            install().save(dir.path()),
            Err(InstallError::File(FileError::Exists { .. }))
        ));
    }

    #[test]
    fn the_rest_of_an_interrupted_restore_is_no_installation() {
        let dir = tempfile::tempdir().unwrap();
        install().save(dir.path()).unwrap();
        fs::write(dir.path().join(backup::INCOMPLETE), b"").unwrap();
        let error = Install::load(dir.path()).unwrap_err();
        assert!(error.to_string().contains("interrupted restore"), "{error}");
    }

    #[test]
    fn a_folder_without_identity_says_what_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let error = Install::load(dir.path()).unwrap_err();
        assert!(error.to_string().contains("provost init"), "{error}");
    }

    #[test]
    fn a_damaged_identity_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["{}", "", "{\"install_id\":\"x\",\"internal_tenant\":\"y\"}"] {
            files::write_private(&dir.path().join(FILE_NAME), text.as_bytes()).unwrap();
            let error = Install::load(dir.path()).unwrap_err();
            assert!(error.to_string().contains(FILE_NAME), "{error}");
        }
    }
}
