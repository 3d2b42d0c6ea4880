//! What happens when a journal is opened: what is checked, what is cut, what is refused.
//!
//! | what                                                 | checked at open                          |
//! |------------------------------------------------------|------------------------------------------|
//! | names of the segments                                | no gap; the first is 1 (unless forgetting) |
//! | every segment's header                               | checksum, number, first group, hash link |
//! | every group header of a sealed segment               | checksum, number, ends exactly at the end of the file |
//! | last group of a sealed segment                       | everything; its hash is in the next segment's header |
//! | the last segment                                     | everything: checksums, records, numbers, hash chain |
//! | record bytes inside a sealed segment                 | **not**: [`crate::Reader::verify_all`], and at every read |
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
//! nothing after it was just being made: it is removed, and the one before must be whole.
//!
//! What survives: after a kill, groups may stand in the file that were written and never synced.
//! They are kept, and the last segment and the folder are synced before anything is reported.

use std::{io, sync::Arc};

use tracing::warn;

use crate::{
    chain::{Chain, later_header},
    convert::to_u64,
    disk::{Access, DiskFile},
    flaw::{Fault, Flaw},
    opening::{Cut, OpenError, Recovery},
    options::{Keep, Options},
    record::Position,
    segment::{self, CreateError, Folder, SEGMENT_HEADER_BYTES, file_name},
    window::Window,
};

/// A journal's folder, ready to be written.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) first_segment: u64,
    pub(crate) active: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) chain: Chain,
    pub(crate) recovery: Recovery,
}

/// Follows all segments, cuts a torn end, and makes what is left durable.
pub(crate) fn recover(folder: &Folder, options: &Options) -> Result<Recovered, OpenError> {
    let mut numbers = folder.numbers().map_err(io_error("listing the folder"))?;
    check_names(&numbers, options)?;
    let unborn = unborn_segment(folder, &mut numbers)?;
    let mut chain = Chain::new();
    let Some((&active, sealed)) = numbers.split_last() else {
        return begin(folder, unborn, chain);
    };
    for &number in sealed {
        let mut window = enter(folder, number, &mut chain)?;
        chain
            .follow_headers(&mut window)
            .map_err(at(number, chain.offset))?;
    }
    let mut window = enter(folder, active, &mut chain)?;
    let whole = scan_last(&mut window, active, &mut chain, unborn.is_none())?;
    let file = folder
        .open(active, Access::Write)
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
    if let Some((number, bytes)) = unborn {
        folder
            .remove(number)
            .map_err(io_error("removing an unfinished segment"))?;
        cut = Some(Cut {
            segment: file_name(number),
            offset: 0,
            bytes,
        });
    }
    file.sync_all()
        .map_err(io_error("syncing the last segment"))?;
    folder
        .disk
        .sync_dir(&folder.dir)
        .map_err(io_error("syncing the folder"))?;
    Ok(finish(&numbers, file, chain, cut))
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
    let mut cut = None;
    if let Some((number, bytes)) = unborn {
        folder
            .remove(number)
            .map_err(io_error("removing an unfinished segment"))?;
        cut = Some(Cut {
            segment: file_name(number),
            offset: 0,
            bytes,
        });
    }
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

fn check_names(numbers: &[u64], options: &Options) -> Result<(), OpenError> {
    let first = match options.keep {
        Keep::Everything => 1,
        Keep::Recent => numbers.first().copied().unwrap_or(1),
    };
    for (&found, expected) in numbers.iter().zip(first..) {
        if found != expected {
            return Err(refuse(expected, 0, Flaw::Missing));
        }
    }
    Ok(())
}

/// Takes a last segment that was only being made off the list: its number and length.
fn unborn_segment(
    folder: &Folder,
    numbers: &mut Vec<u64>,
) -> Result<Option<(u64, u64)>, OpenError> {
    let Some(&number) = numbers.last() else {
        return Ok(None);
    };
    let mut window = folder
        .window(number)
        .map_err(io_error("opening a segment"))?;
    let length = window.limit();
    if length > to_u64(SEGMENT_HEADER_BYTES) {
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
        Ok(_) | Err(Fault::Flaw(_)) => Ok(None),
    }
}

/// Goes on with the chain in a segment.
fn enter(folder: &Folder, number: u64, chain: &mut Chain) -> Result<Window, OpenError> {
    let mut window = folder
        .window(number)
        .map_err(io_error("opening a segment"))?;
    let header = segment::Header::read(&mut window, number).map_err(at(number, 0))?;
    chain
        .enter(&header)
        .map_err(|flaw| refuse(number, 0, flaw))?;
    Ok(window)
}

/// Follows the last segment, everything checked. Says whether it is whole to the end of the file;
/// if not, what follows `chain.offset` is a torn tail.
fn scan_last(
    window: &mut Window,
    number: u64,
    chain: &mut Chain,
    may_be_torn: bool,
) -> Result<bool, OpenError> {
    while chain.offset < window.limit() {
        let flaw = match chain.take(window) {
            Ok(()) => continue,
            Err(Fault::Flaw(flaw)) => flaw,
            Err(fault) => return Err(at(number, chain.offset)(fault)),
        };
        let torn = may_be_torn
            && flaw.may_be_torn()
            && !later_header(window, chain.offset + 1, chain.next_group)
                .map_err(at(number, chain.offset))?;
        return if torn {
            Ok(false)
        } else {
            Err(refuse(number, chain.offset, flaw))
        };
    }
    Ok(true)
}

fn refuse(number: u64, offset: u64, why: Flaw) -> OpenError {
    let segment = file_name(number);
    if why.is_unsupported() {
        OpenError::Unsupported {
            segment,
            offset,
            why,
        }
    } else {
        OpenError::Damaged {
            segment,
            offset,
            why,
            hint: REPAIR_HINT,
        }
    }
}

fn at(number: u64, offset: u64) -> impl Fn(Fault) -> OpenError {
    move |fault| match fault {
        Fault::Io(source) => OpenError::Io {
            what: "reading a segment",
            source,
        },
        Fault::Flaw(flaw) => refuse(number, offset, flaw),
    }
}

fn io_error(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}

/// Nothing here repairs by guessing: the bytes were acknowledged to somebody.
const REPAIR_HINT: &str = "keep a copy of the folder, then bring this file back from a copy made while the kernel was stopped";
