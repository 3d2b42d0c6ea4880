//! Says how the state was left: a small file beside sled's folder.
//!
//! | found at start | what it means | what follows |
//! |---|---|---|
//! | nothing | a new state | replay everything |
//! | `opening` | a crash while sled opened | rebuild, loudly |
//! | `open`, this boot | the process was killed; the page cache survived | replay from the watermark |
//! | `open`, another boot | a power cut; sled syncs nothing on Linux | rebuild, loudly |
//! | `damaged` | the state failed or held a damaged value | rebuild, loudly |
//! | `closed` | a clean stop, files synced | replay from the watermark |

use std::{fs, io::Write as _, path::Path};

use serde::{Deserialize, Serialize};

/// How the state was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) phase: Phase,
    pub(crate) boot_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Opening,
    Open,
    Damaged,
    Closed,
}

/// Whether the state may be used, judged from the marker alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Replay from the watermark.
    Keep,
    /// Remove and rebuild, and say why.
    Rebuild(&'static str),
}

impl Marker {
    /// What is left in this phase, by this boot.
    pub(crate) fn of(phase: Phase) -> Self {
        Self {
            phase,
            boot_id: boot_id(),
        }
    }

    /// Reads the marker; a damaged one counts as a crash while opening.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let text = fs::read(dir.join(FILE)).ok()?;
        let damaged = Self {
            phase: Phase::Opening,
            boot_id: String::new(),
        };
        Some(serde_json::from_slice(&text).unwrap_or(damaged))
    }

    /// Judges what was found in the light of this boot.
    pub(crate) fn judge(found: Option<&Self>, boot_id: &str, state_exists: bool) -> Trust {
        match found {
            None if state_exists => Trust::Rebuild("the state has no marker"),
            None => Trust::Keep,
            Some(marker) => match marker.phase {
                Phase::Opening => Trust::Rebuild("the last start ended while the state opened"),
                Phase::Damaged => Trust::Rebuild("the state was found damaged"),
                // A boot without a name is never known to be the same one.
                Phase::Open if boot_id.is_empty() || marker.boot_id != boot_id => {
                    Trust::Rebuild("the machine went down while the state was open")
                }
                Phase::Open | Phase::Closed => Trust::Keep,
            },
        }
    }

    /// Writes the marker durably: file, rename, folder.
    pub(crate) fn write(&self, dir: &Path) -> std::io::Result<()> {
        let temporary = dir.join(format!("{FILE}.new"));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self).map_err(std::io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(FILE))?;
        fs::File::open(dir)?.sync_all()
    }
}

/// Names this boot of the machine, as Linux does.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Whether a file of this name in the data folder is the marker, or was going to be.
pub(crate) fn is_file(name: &str) -> bool {
    name.strip_prefix(FILE)
        .is_some_and(|rest| rest.is_empty() || rest == ".new")
}

/// Flushes every file of a folder to the device, and the folder itself.
pub(crate) fn sync_folder(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folder(&path)?;
        } else {
            fs::File::open(path)?.sync_all()?;
        }
    }
    fs::File::open(dir)?.sync_all()
}

const FILE: &str = "state.marker";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_kept_only_where_nothing_can_have_been_lost() {
        let marker = |phase| {
            Some(Marker {
                phase,
                boot_id: "this".to_owned(),
            })
        };
        let judge = |found: Option<Marker>, boot: &str, exists| {
            matches!(Marker::judge(found.as_ref(), boot, exists), Trust::Keep)
        };
        assert!(judge(None, "this", false));
        assert!(!judge(None, "this", true));
        assert!(!judge(marker(Phase::Opening), "this", true));
        assert!(judge(marker(Phase::Open), "this", true));
        assert!(!judge(marker(Phase::Open), "other", true));
        assert!(!judge(marker(Phase::Damaged), "this", true));
        assert!(judge(marker(Phase::Closed), "other", true));
    }

    #[test]
    fn a_boot_without_a_name_is_not_taken_for_the_same() {
        let left = Marker {
            phase: Phase::Open,
            boot_id: String::new(),
        };
        let trust = Marker::judge(Some(&left), "", true);
        assert!(matches!(trust, Trust::Rebuild(_)), "{trust:?}");
    }

    #[test]
    fn a_damaged_marker_counts_as_a_crash_while_opening() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{").unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap().phase, Phase::Opening);
    }
}
