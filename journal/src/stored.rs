//! A segment's file as it was opened: the segment's bytes behind their own offsets, whichever form
//! they are stored in, and where something is in the file that is really there.

use std::{io, ops::Range, sync::Arc};

use crate::{
    damage::Damage,
    disk::DiskFile,
    flaw::{Fault, Flaw, StoredFlaw},
    folder::packed_name,
    packed::Packed,
    reader::ReadError,
    segment::file_name,
};

/// An open segment.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFile {
    pub(crate) number: u64,
    file: Arc<dyn DiskFile>,
    packed: Option<Arc<Packed>>,
}

impl SegmentFile {
    pub(crate) fn raw(number: u64, file: Arc<dyn DiskFile>) -> Self {
        Self {
            number,
            file,
            packed: None,
        }
    }

    pub(crate) fn packed(number: u64, packed: Arc<Packed>) -> Self {
        let file: Arc<dyn DiskFile> = packed.clone();
        Self {
            number,
            file,
            packed: Some(packed),
        }
    }

    /// The segment's bytes.
    pub(crate) fn bytes(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    pub(crate) fn into_bytes(self) -> Arc<dyn DiskFile> {
        self.file
    }

    /// How long the segment is.
    pub(crate) fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    /// The compressed form, if that is what it is stored in.
    pub(crate) fn as_packed(&self) -> Option<&Packed> {
        self.packed.as_deref()
    }

    /// The name of the file.
    pub(crate) fn name(&self) -> String {
        name(self.number, self.packed.is_some())
    }

    /// What a fault is called outside. `lost` is asked only for a flaw at `offset` of the segment,
    /// in bytes that are stored as they were written down.
    pub(crate) fn failure(
        &self,
        offset: u64,
        fault: Fault,
        lost: impl FnOnce() -> Range<u64>,
    ) -> ReadError {
        let located = |offset, lost, why| {
            ReadError::Damaged(Damage {
                segment: self.number,
                file: self.name(),
                offset,
                lost,
                why,
            })
        };
        match fault {
            Fault::Io(source) => ReadError::Io {
                segment: self.name(),
                source,
            },
            Fault::Stored(StoredFlaw { offset, lost, why }) => located(offset, lost, why),
            Fault::Flaw(why) => {
                let stored = self.packed.as_ref();
                let offset = stored.map_or(offset, |packed| packed.stored_offset(offset));
                located(offset, lost(), why)
            }
        }
    }
}

/// What it is called that a segment could not be opened.
pub(crate) fn open_failure(number: u64, fault: Fault) -> ReadError {
    let damage = |compressed, offset, lost, why| {
        ReadError::Damaged(Damage {
            segment: number,
            file: name(number, compressed),
            offset,
            lost,
            why,
        })
    };
    match fault {
        Fault::Io(source) if source.kind() == io::ErrorKind::NotFound => {
            damage(false, 0, 0..u64::MAX, Flaw::Missing)
        }
        Fault::Io(source) => ReadError::Io {
            segment: file_name(number),
            source,
        },
        Fault::Flaw(why) => damage(false, 0, 0..u64::MAX, why),
        // Only a compressed segment says anything of its stored bytes.
        Fault::Stored(StoredFlaw { offset, lost, why }) => damage(true, offset, lost, why),
    }
}

fn name(number: u64, compressed: bool) -> String {
    if compressed {
        packed_name(number)
    } else {
        file_name(number)
    }
}
