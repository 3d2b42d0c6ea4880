//! Folders and files that are there whole, or not at all.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::cli::exit::Failure;

/// A folder that is being filled beside the place it will have. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Filling {
    staging: tempfile::TempDir,
    target: PathBuf,
    parent: PathBuf,
}

impl Filling {
    /// Begins to fill what shall become `target`: a new folder, or an empty one.
    pub(super) fn begin(target: &Path) -> Result<Self, Failure> {
        let told = |why: String| Failure::Usage(format!("{}: {why}", target.display()));
        match fs::read_dir(target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(told("the folder is not empty".to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(told(error.to_string())),
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let staging = tempfile::Builder::new()
            .prefix(".provost-export-")
            .tempdir_in(parent)
            .map_err(|error| told(error.to_string()))?;
        Ok(Self {
            staging,
            target: target.to_owned(),
            parent: parent.to_owned(),
        })
    }

    /// Where it is filled.
    pub(super) fn path(&self) -> &Path {
        self.staging.path()
    }

    /// Writes one file of it, and the folders above.
    pub(super) fn write(&self, place: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path().join(place);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes));
        written.map_err(|error| failed(&path, error))
    }

    /// Makes everything durable and gives the folder its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let named = || -> io::Result<()> {
            // One call for thousands of files: each alone would cost a flush of the device.
            rustix::fs::syncfs(File::open(self.path())?)?;
            // An empty folder of that name is replaced.
            fs::rename(self.path(), &self.target)?;
            File::open(&self.parent)?.sync_all()
        };
        named().map_err(|error| failed(&self.target, error))?;
        // What was renamed is no longer temporary.
        let _ = self.staging.keep();
        Ok(())
    }
}

/// Writes a file whole: beside, synced, renamed.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let written = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|error| failed(&path, error))?;
    Ok(path)
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::failed("writing", format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let given_up = Filling::begin(&target).unwrap();
        given_up.write(Path::new("a/b"), b"1").unwrap();
        assert!(!target.exists());
        drop(given_up);
        assert_eq!(names(dir.path()), [""; 0]);

        fs::create_dir(&target).unwrap();
        let filled = Filling::begin(&target).unwrap();
        filled.write(Path::new("a/b"), b"1").unwrap();
        filled.finish().unwrap();
        assert_eq!(names(dir.path()), ["out"]);
        assert_eq!(fs::read(target.join("a/b")).unwrap(), b"1");

        let refused = Filling::begin(&target).unwrap_err();
        assert!(refused.to_string().ends_with("not empty"), "{refused}");
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        write_whole(dir.path(), "f", b"long").unwrap();
        let path = write_whole(dir.path(), "f", b"new").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["f"]);
    }
}
