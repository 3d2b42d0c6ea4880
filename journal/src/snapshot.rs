//! Reading a journal that another process may be writing, without its lock and without changing
//! anything.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use crate::{
    chain::{Chain, later_header},
    convert::to_u64,
    damage::locate,
    disk::{Disk, RealDisk},
    flaw::Fault,
    folder::{Folder, Form},
    opening::OpenError,
    reader::Reader,
    record::Position,
    recover::{io_error, missing_segment, refuse},
    segment::{self, SEGMENT_HEADER_BYTES},
    shared::Shared,
    stored::open_failure,
    window::Window,
};

/// A journal as it was at one moment: everything up to the last group that was whole then.
///
/// Safe beside a writer, which goes on, rolls and compresses meanwhile. The last group may be one
/// that was written and not yet synced: nobody was told of it, and after a crash of the machine it
/// may be gone. It is for a journal that keeps everything ([`crate::Keep::Everything`]).
#[derive(Debug, Clone)]
pub struct Snapshot {
    reader: Reader,
    unfinished_bytes: u64,
}

impl Snapshot {
    /// Looks at the journal in a folder of the real disk.
    ///
    /// Checked are the names of the segments and every byte of the last one;
    /// [`Reader::verify_all`] checks the rest.
    ///
    /// # Errors
    /// [`OpenError`]: damaged, of a newer format, or the disk failed.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), dir)
    }

    /// As [`Snapshot::open`], on any disk.
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        let folder = Folder {
            disk,
            dir: Arc::from(dir.as_ref()),
        };
        let mut forms = forms(&folder)?;
        let (end, unfinished_bytes) = last_end(&folder, &mut forms)?;
        let shared = Shared::new(FIRST, end, forms, None);
        Ok(Self {
            reader: Reader::new(folder, Arc::new(shared)),
            unfinished_bytes,
        })
    }

    /// The reading end. Its end never moves, and it compresses nothing.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// How many bytes stood after the end: a group being written, or a torn one.
    #[must_use]
    pub const fn unfinished_bytes(&self) -> u64 {
        self.unfinished_bytes
    }
}

/// How each segment is stored. A folder that is listed while names change in it may hide one, so
/// each is looked for by its name.
fn forms(folder: &Folder) -> Result<BTreeMap<u64, Form>, OpenError> {
    let listing = folder.list().map_err(io_error("listing the folder"))?;
    let listed = listing.numbers().last().copied().unwrap_or(FIRST);
    let mut forms = BTreeMap::new();
    let mut number = FIRST;
    loop {
        match folder.form(number) {
            Ok(form) => forms.insert(number, form),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // One that was compressed, or begun to be, has a successor.
                let last = number > listed && !listing.was_sealed(number - 1);
                return if last {
                    Ok(forms)
                } else {
                    Err(refuse(missing_segment(number)))
                };
            }
            Err(error) => return Err(refuse(open_failure(number, error.into()))),
        };
        number += 1;
    }
}

/// Finds the end of the last whole group, and how much stands after it.
fn last_end(
    folder: &Folder,
    forms: &mut BTreeMap<u64, Form>,
) -> Result<(Position, u64), OpenError> {
    let last = forms.last_key_value().map_or(FIRST, |(number, _)| *number);
    let mut window = window(folder, last)?;
    if !is_unborn(&mut window, forms) {
        let (end, after) = scan(window, true)?;
        return Ok((Position::new(last, end), after));
    }
    forms.remove(&last);
    // It is begun only after the last group of the one before is durable.
    let (end, _) = scan(self::window(folder, last - 1)?, false)?;
    Ok((Position::new(last - 1, end), window.limit()))
}

/// Whether the last segment is only being made. Not if the one before was compressed already.
fn is_unborn(window: &mut Window, forms: &BTreeMap<u64, Form>) -> bool {
    let number = window.file().number;
    let raw_before = forms
        .get(&(number - 1))
        .is_some_and(|before| !before.compressed);
    raw_before
        && window.limit() <= to_u64(SEGMENT_HEADER_BYTES)
        && matches!(
            segment::Header::read(window, number),
            Err(Fault::Flaw(flaw)) if flaw.may_be_torn()
        )
}

/// Follows the last segment as far as it is whole; returns where that is, and how much stands after
/// it.
fn scan(mut window: Window, may_be_torn: bool) -> Result<(u64, u64), OpenError> {
    let mut chain = Chain::new();
    let number = window.file().number;
    let entered =
        segment::Header::read(&mut window, number).and_then(|header| Ok(chain.enter(&header)?));
    entered.map_err(|fault| refuse(locate(&mut window, 0, fault)))?;
    while chain.offset < window.limit() {
        let Err(fault) = chain.take(&mut window) else {
            continue;
        };
        let torn = may_be_torn && matches!(&fault, Fault::Flaw(flaw) if flaw.may_be_torn());
        if !torn {
            return Err(refuse(locate(&mut window, chain.offset, fault)));
        }
        // What is in the window may be from before the writer was done.
        window = Window::new(window.file().clone(), window.limit());
        let later = later_header(&mut window, chain.offset + 1, chain.next_group)
            .map_err(|fault| refuse(locate(&mut window, chain.offset, fault)))?;
        if !later {
            break;
        }
        // A later group was begun, so this one was durable before, and is whole by now.
        window = Window::new(window.file().clone(), window.limit());
        chain
            .take(&mut window)
            .map_err(|fault| refuse(locate(&mut window, chain.offset, fault)))?;
    }
    Ok((chain.offset, window.limit() - chain.offset))
}

fn window(folder: &Folder, number: u64) -> Result<Window, OpenError> {
    let window = folder.window(number);
    window.map_err(|fault| refuse(open_failure(number, fault)))
}

/// A journal that keeps everything begins with its first segment.
const FIRST: u64 = 1;
