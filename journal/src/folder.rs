//! A journal's folder: which files in it are segments, in which form, and how they are opened.
//!
//! A segment is there as `.seg`, or compressed as `.segz`. Where both are, the copying of one to the
//! other was interrupted after the copy got its name, and the `.seg` counts; a `.segz.new` is a copy
//! that never got its name. The `.seg` goes only after the `.segz` is durable, so whoever finds no
//! `.seg` while others work in the folder finds the `.segz`.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::{Access, Disk, DiskFile},
    fail_points,
    flaw::Fault,
    packed::Packed,
    segment::{Header, file_name},
    stored::SegmentFile,
    window::Window,
};

/// The journal's folder on its disk.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Arc<Path>,
}

/// The numbers of the segments in a folder, by what stands there of each.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) raw: BTreeSet<u64>,
    pub(crate) packed: BTreeSet<u64>,
    pub(crate) partial: BTreeSet<u64>,
}

/// How a segment is stored, and in how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) compressed: bool,
    pub(crate) bytes: u64,
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// Nothing is left of the attempt; it can be made again.
    Write(io::Error),
    /// What stands on the disk is not known.
    Sync(io::Error),
}

impl Listing {
    /// The numbers of all segments, ascending.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.raw.union(&self.packed).copied().collect()
    }

    /// Whether the segment was compressed, or was being: the one that follows is durable then.
    pub(crate) fn was_sealed(&self, number: u64) -> bool {
        self.packed.contains(&number) || self.partial.contains(&number)
    }

    /// The names of files that no longer count, or never did.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let twice = self.packed.intersection(&self.raw);
        let partial = self.partial.iter().map(|number| partial_name(*number));
        twice
            .map(|number| packed_name(*number))
            .chain(partial)
            .collect()
    }
}

impl Folder {
    pub(crate) fn raw_path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }

    pub(crate) fn packed_path(&self, number: u64) -> PathBuf {
        self.dir.join(packed_name(number))
    }

    pub(crate) fn partial_path(&self, number: u64) -> PathBuf {
        self.dir.join(partial_name(number))
    }

    pub(crate) fn path(&self, number: u64, compressed: bool) -> PathBuf {
        if compressed {
            self.packed_path(number)
        } else {
            self.raw_path(number)
        }
    }

    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for name in self.disk.list(&self.dir)? {
            let Some((number, extension)) = parse_name(&name) else {
                continue;
            };
            match extension {
                RAW => listing.raw.insert(number),
                PACKED => listing.packed.insert(number),
                _ => listing.partial.insert(number),
            };
        }
        Ok(listing)
    }

    pub(crate) fn open_raw(&self, number: u64, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.raw_path(number), access)
    }

    /// Opens the file that a segment is stored in, as it is; says whether that is compressed.
    pub(crate) fn open_file(&self, number: u64) -> io::Result<(bool, Arc<dyn DiskFile>)> {
        match self.open_raw(number, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.disk.open(&self.packed_path(number), Access::Read)?;
                Ok((true, file))
            }
            opened => Ok((false, opened?)),
        }
    }

    /// Opens a segment, in whichever form it is there.
    pub(crate) fn open(&self, number: u64) -> Result<SegmentFile, Fault> {
        let (compressed, file) = self.open_file(number)?;
        Ok(if compressed {
            SegmentFile::packed(number, Arc::new(Packed::open(file, number)?))
        } else {
            SegmentFile::raw(number, file)
        })
    }

    /// How a segment is stored.
    pub(crate) fn form(&self, number: u64) -> io::Result<Form> {
        let (compressed, file) = self.open_file(number)?;
        let bytes = file.length()?;
        Ok(Form { compressed, bytes })
    }

    /// A window on all of a segment that no longer grows, or that nobody writes yet.
    pub(crate) fn window(&self, number: u64) -> Result<Window, Fault> {
        let file = self.open(number)?;
        let length = file.length()?;
        Ok(Window::new(file, length))
    }

    /// Removes a segment in every form it is there in; the one that counts goes last, so that after
    /// an error the segment is there as it was. Syncs nothing.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        match self.open_raw(number, Access::Read) {
            Ok(_) => {
                self.remove_if_there(&self.packed_path(number))?;
                self.disk.remove(&self.raw_path(number))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.remove(&self.packed_path(number))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a file and says whether it was there.
    pub(crate) fn remove_if_there(&self, path: &Path) -> io::Result<bool> {
        match self.disk.remove(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir)
    }

    /// Makes a segment, durably: header, file, name in the folder, in this order.
    pub(crate) fn create(&self, header: &Header) -> Result<Arc<dyn DiskFile>, CreateError> {
        let path = self.raw_path(header.number);
        let file = self.disk.create(&path).map_err(CreateError::Write)?;
        fail_points::reach(fail_points::SEGMENT_CREATED);
        if let Err(error) = file.write_at(0, &header.encode()) {
            let removed = self.disk.remove(&path).and_then(|()| self.sync());
            removed.map_err(CreateError::Sync)?;
            return Err(CreateError::Write(error));
        }
        file.sync_all().map_err(CreateError::Sync)?;
        fail_points::reach(fail_points::SEGMENT_SYNCED);
        self.sync().map_err(CreateError::Sync)?;
        fail_points::reach(fail_points::SEGMENT_NAMED);
        Ok(file)
    }
}

/// The name of a compressed segment's file.
pub(crate) fn packed_name(number: u64) -> String {
    format!("{number:016}{PACKED}")
}

fn partial_name(number: u64) -> String {
    format!("{number:016}{PARTIAL}")
}

/// The number of the segment that a file's name says it is, and the rest of the name; `None` for
/// any other file.
fn parse_name(name: &str) -> Option<(u64, &'static str)> {
    [RAW, PACKED, PARTIAL].into_iter().find_map(|extension| {
        let number = name.strip_suffix(extension)?.parse().ok()?;
        (number > 0 && format!("{number:016}{extension}") == name).then_some((number, extension))
    })
}

const RAW: &str = ".seg";
const PACKED: &str = ".segz";
const PARTIAL: &str = ".segz.new";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_segment_name_is_a_segment() {
        assert_eq!(file_name(12), "0000000000000012.seg");
        for extension in [RAW, PACKED, PARTIAL] {
            let name = format!("0000000000000012{extension}");
            assert_eq!(parse_name(&name), Some((12, extension)));
        }
        for name in [
            "12.seg",
            "0000000000000000.seg",
            "0000000000000012.idx",
            "+000000000000012.seg",
            "12.segz",
            "0000000000000012.segz.old",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
