//! What happens when a journal is opened: what is checked, what is cut, what is refused.
//!
//! | what                                                 | checked at open                          |
//! |------------------------------------------------------|------------------------------------------|
//! | names of the segments                                | no gap; the first is 1 (unless forgetting) |
//! | every segment's header                               | checksum, number, first group, hash link |
//! | every group header of a sealed segment               | checksum, number, ends exactly at the end of the file |
//! | last group of a sealed segment                       | everything; its hash is in the next segment's header |
//! | a compressed segment                                 | header and table; what its header says of its groups stands for them |
//! | the last segment                                     | everything: checksums, records, numbers, hash chain |
//! | record bytes inside a sealed segment                 | **not**: [`crate::Reader::check_stored`], [`crate::Reader::verify_all`], and at every read |
//!
//! Nobody can tell from the journal alone that whole groups are missing at its very end, or that
//! its last segment is gone: whoever keeps a watermark compares it with [`crate::Reader::end`].
//!
//! **Torn or damaged.** A group is begun only after the one before is durable, so at most one group
//! can be torn, and nothing stands after it. An invalid group in the last segment with no header of
//! a later group after it is a torn tail and is cut. With one, or in any segment that another one
//! follows, it is damage: [`OpenError::Damaged`], and nothing on the disk is touched. A group that
//! is whole but has the wrong number or hash was never torn: damage. A group or segment whole but of
//! a newer format is [`OpenError::Unsupported`]. A last segment without a whole header and with
//! nothing after it was just being made: it is removed, and the one before must be whole. A segment
//! is compressed, or begun to be, only after the one that follows is durable: if the last one was,
//! the one after it is missing.
//!
//! What survives: after a kill, groups may stand in the file that were written and never synced.
//! They are kept, and the last segment and the folder are synced before anything is reported; the
//! last group is written again first, because a sync that failed may have left it in the page cache
//! alone, where no later sync would see it.
//! Unfinished compressed copies are removed, once everything else is known to be whole.

use std::{collections::BTreeMap, io, ops::Range, sync::Arc};

use tracing::{info, warn};

use crate::{
    chain::{Chain, later_header},
    convert::{to_u64, to_usize},
    damage::locate,
    disk::{Access, DiskFile},
    flaw::{Fault, Flaw},
    folder::{CreateError, Folder, Form, Listing},
    opening::{Cut, OpenError, Recovery},
    options::{Keep, Options},
    reader::ReadError,
    record::Position,
    segment::{self, SEGMENT_HEADER_BYTES, file_name},
    stored::open_failure,
    window::Window,
};

/// A journal's folder, ready to be written.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) first_segment: u64,
    pub(crate) sealed: BTreeMap<u64, Form>,
    pub(crate) active: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) chain: Chain,
    pub(crate) recovery: Recovery,
}

/// Follows all segments, cuts a torn end, and makes what is left durable.
pub(crate) fn recover(folder: &Folder, options: &Options) -> Result<Recovered, OpenError> {
    let listing = folder.list().map_err(io_error("listing the folder"))?;
    let mut numbers = listing.numbers();
    check_names(&numbers, options.keep, &listing)?;
    let unborn = unborn_segment(folder, &mut numbers, &listing)?;
    let mut chain = Chain::new();
    let Some((&active, before)) = numbers.split_last() else {
        remove_leftovers(folder, &listing)?;
        return begin(folder, unborn, chain);
    };
    let mut sealed = BTreeMap::new();
    for &number in before {
        sealed.insert(number, follow(folder, number, &mut chain)?);
    }
    let mut window = enter(folder, active, &mut chain)?;
    let (last, whole) = scan_last(&mut window, &mut chain, unborn.is_none())?;
    let file = folder
        .open_raw(active, Access::Write)
        .map_err(io_error("opening a segment"))?;
    let mut cut = (!whole).then(|| Cut {
        segment: file_name(active),
        offset: chain.offset,
        bytes: window.limit() - chain.offset,
    });
    if let Some(cut) = &cut {
        file.truncate(cut.offset)
            .map_err(io_error("cutting the torn end"))?;
    }
    if let Some(unborn) = unborn {
        cut = Some(remove_unborn(folder, unborn)?);
    }
    remove_leftovers(folder, &listing)?;
    write_again(&mut window, file.as_ref(), last..chain.offset)?;
    file.sync_all()
        .map_err(io_error("syncing the last segment"))?;
    folder.sync().map_err(io_error("syncing the folder"))?;
    let recovered = finish(&numbers, file, chain, cut);
    Ok(Recovered {
        sealed,
        ..recovered
    })
}

fn finish(numbers: &[u64], file: Arc<dyn DiskFile>, chain: Chain, cut: Option<Cut>) -> Recovered {
    let (first_segment, active) = (numbers[0], numbers[numbers.len() - 1]);
    if let Some(cut) = &cut {
        warn!(
            journal.segment = %cut.segment,
            journal.offset = cut.offset,
            journal.bytes = cut.bytes,
            "cut a torn end off the journal; nothing acknowledged was in it"
        );
    }
    let recovery = Recovery {
        cut,
        segments: to_u64(numbers.len()),
        groups: chain.groups,
        records: chain.records,
        last_group: (chain.next_group > 1).then(|| chain.next_group - 1),
        end: Position::new(active, chain.offset),
    };
    Recovered {
        first_segment,
        sealed: BTreeMap::new(),
        active,
        file,
        chain,
        recovery,
    }
}

/// A journal without a group: its first segment is made.
fn begin(
    folder: &Folder,
    unborn: Option<(u64, u64)>,
    chain: Chain,
) -> Result<Recovered, OpenError> {
    let cut = unborn
        .map(|unborn| remove_unborn(folder, unborn))
        .transpose()?;
    let header = segment::Header {
        number: 1,
        first_group: 1,
        previous: chain.hash,
    };
    let file = folder.create(&header).map_err(|error| match error {
        CreateError::Write(source) | CreateError::Sync(source) => OpenError::Io {
            what: "making the first segment",
            source,
        },
    })?;
    Ok(finish(&[1], file, chain, cut))
}

/// Takes away a last segment that was only being made, durably.
fn remove_unborn(folder: &Folder, (number, bytes): (u64, u64)) -> Result<Cut, OpenError> {
    let removed = folder.remove(number).and_then(|()| folder.sync());
    removed.map_err(io_error("removing an unfinished segment"))?;
    Ok(Cut {
        segment: file_name(number),
        offset: 0,
        bytes,
    })
}

/// Takes away compressed copies that do not count; the sync of the folder is the caller's.
fn remove_leftovers(folder: &Folder, listing: &Listing) -> Result<(), OpenError> {
    for name in listing.leftovers() {
        info!(journal.file = %name, "removing an unfinished compressed copy of a segment");
        folder
            .disk
            .remove(&folder.dir.join(name))
            .map_err(io_error("removing an unfinished copy"))?;
    }
    Ok(())
}

fn check_names(numbers: &[u64], keep: Keep, listing: &Listing) -> Result<(), OpenError> {
    let first = match keep {
        Keep::Everything => 1,
        Keep::Recent => numbers.first().copied().unwrap_or(1),
    };
    let gap = numbers
        .iter()
        .zip(first..)
        .find(|(found, due)| **found != *due);
    let after_sealed = numbers
        .last()
        .filter(|last| listing.was_sealed(**last))
        .map(|last| last + 1);
    match gap.map(|(_, due)| due).or(after_sealed) {
        Some(missing) => Err(refuse(missing_segment(missing))),
        None => Ok(()),
    }
}

/// Takes a last segment that was only being made off the list: its number and length.
fn unborn_segment(
    folder: &Folder,
    numbers: &mut Vec<u64>,
    listing: &Listing,
) -> Result<Option<(u64, u64)>, OpenError> {
    let Some(&number) = numbers.last() else {
        return Ok(None);
    };
    let mut window = window(folder, number)?;
    let length = window.limit();
    if length > to_u64(SEGMENT_HEADER_BYTES) || listing.was_sealed(number - 1) {
        return Ok(None);
    }
    match segment::Header::read(&mut window, number) {
        // After a removal of older segments the chain's only end would go with it.
        Err(Fault::Flaw(flaw)) if flaw.may_be_torn() && (numbers.len() > 1 || number == 1) => {
            numbers.pop();
            Ok(Some((number, length)))
        }
        Err(Fault::Io(source)) => Err(OpenError::Io {
            what: "reading a segment",
            source,
        }),
        Ok(_) | Err(Fault::Flaw(_) | Fault::Stored(_)) => Ok(None),
    }
}

/// Follows a sealed segment to its end; says how it is stored.
fn follow(folder: &Folder, number: u64, chain: &mut Chain) -> Result<Form, OpenError> {
    let mut window = enter(folder, number, chain)?;
    let length = window.limit();
    if let Some(packed) = window.file().as_packed() {
        chain.pass(length, packed.summary());
        return Ok(Form {
            compressed: true,
            bytes: packed.stored_bytes(),
        });
    }
    chain
        .follow_headers(&mut window)
        .map_err(|fault| refuse(locate(&mut window, chain.offset, fault)))?;
    Ok(Form {
        compressed: false,
        bytes: length,
    })
}

/// Goes on with the chain in a segment.
fn enter(folder: &Folder, number: u64, chain: &mut Chain) -> Result<Window, OpenError> {
    let mut window = window(folder, number)?;
    enter_window(&mut window, chain).map_err(|fault| refuse(locate(&mut window, 0, fault)))?;
    Ok(window)
}

fn enter_window(window: &mut Window, chain: &mut Chain) -> Result<(), Fault> {
    let (number, length) = (window.file().number, window.limit());
    // Of a compressed segment, the first block is enough.
    window.set_limit(length.min(to_u64(SEGMENT_HEADER_BYTES)));
    let header = segment::Header::read(window, number);
    window.set_limit(length);
    Ok(chain.enter(&header?)?)
}

fn window(folder: &Folder, number: u64) -> Result<Window, OpenError> {
    let window = folder.window(number);
    window.map_err(|fault| refuse(open_failure(number, fault)))
}

/// Follows the last segment, everything checked. Says where its last group starts (or its header,
/// if it has none), and whether it is whole to the end of the file; if not, what follows
/// `chain.offset` is a torn tail.
fn scan_last(
    window: &mut Window,
    chain: &mut Chain,
    may_be_torn: bool,
) -> Result<(u64, bool), OpenError> {
    let mut last = 0;
    while chain.offset < window.limit() {
        let start = chain.offset;
        let Err(fault) = chain.take(window) else {
            last = start;
            continue;
        };
        let torn = match &fault {
            Fault::Flaw(flaw) if may_be_torn && flaw.may_be_torn() => {
                !later_header(window, chain.offset + 1, chain.next_group)
                    .map_err(|fault| refuse(locate(window, chain.offset, fault)))?
            }
            Fault::Flaw(_) | Fault::Stored(_) | Fault::Io(_) => false,
        };
        return if torn {
            Ok((last, false))
        } else {
            Err(refuse(locate(window, chain.offset, fault)))
        };
    }
    Ok((last, true))
}

/// Writes what was written last once more, the same bytes, so that the sync which follows covers
/// it. If an earlier sync of it failed, the page cache shows it as whole and clean, and no later
/// sync would ever write it: it would be answered from, built upon, and gone with the power.
fn write_again(
    window: &mut Window,
    file: &dyn DiskFile,
    place: Range<u64>,
) -> Result<(), OpenError> {
    let number = window.file().number;
    let bytes = window
        .slice(place.start, to_usize(place.end - place.start))
        .map_err(|fault| refuse(open_failure(number, fault)))?;
    file.write_at(place.start, bytes)
        .map_err(io_error("writing the last group again"))
}

/// That a segment is not there.
pub(crate) fn missing_segment(number: u64) -> ReadError {
    open_failure(number, Flaw::Missing.into())
}

/// What it is called that a journal is not opened.
pub(crate) fn refuse(error: ReadError) -> OpenError {
    match error {
        ReadError::Damaged(damage) if damage.why.is_unsupported() => OpenError::Unsupported(damage),
        ReadError::Damaged(damage) => OpenError::Damaged {
            damage,
            hint: REPAIR_HINT,
        },
        ReadError::Io { source, .. } => OpenError::Io {
            what: "reading a segment",
            source,
        },
        ReadError::NotFound(position) => refuse(missing_segment(position.segment)),
    }
}

pub(crate) fn io_error(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}

/// Nothing here repairs by guessing: the bytes were acknowledged to somebody.
const REPAIR_HINT: &str = "keep a copy of the folder, then bring this file back from a copy made while the kernel was stopped";
