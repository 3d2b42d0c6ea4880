//! The unit on disk: a group of records that became durable together.
//!
//! All numbers are little-endian. A group is a header of 64 bytes and then its records.
//!
//! | at | bytes | header field                                                                   |
//! |---:|------:|--------------------------------------------------------------------------------|
//! |  0 |     4 | magic `FF 50 47 FE`; `FF` and `FE` occur in no UTF-8 text, so in no envelope    |
//! |  4 |     2 | format version, 1                                                              |
//! |  6 |     2 | flags, 0; reserved for compression and encryption, unknown ones are refused    |
//! |  8 |     8 | group number; the journal's first is 1, each next one more                     |
//! | 16 |     4 | record count; 0 is a *seal*                                                    |
//! | 20 |     4 | length of all records with their headers                                       |
//! | 24 |     4 | CRC32C over all records with their headers                                     |
//! | 28 |    32 | SHA-256 of the previous group, header and records; zeros before the first      |
//! | 60 |     4 | CRC32C over the 60 bytes before                                                |
//!
//! | at | bytes | record field                                                                   |
//! |---:|------:|--------------------------------------------------------------------------------|
//! |  0 |    16 | tenant, a UUID                                                                 |
//! | 16 |     8 | seq                                                                            |
//! | 24 |     4 | length of the payload, at most 65,535                                          |
//! | 28 |     4 | CRC32C over the 28 bytes before and the payload, for reading one record alone   |
//! | 32 |       | payload                                                                        |
//!
//! Any later version keeps the place of magic, version, flags and header checksum, so that an old
//! program can tell "newer than I am" from "broken".

use std::sync::Arc;

use provost_protocol::TenantId;
use sha2::{Digest as _, Sha256};

use crate::{
    convert::{array, to_u64, to_usize},
    flaw::{Fault, Flaw},
    record::{PAYLOAD_BYTES_MAX, Record},
    window::Window,
};

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// The header of a group whose checksum held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) records: u32,
    body_bytes: u32,
    body_crc: u32,
    pub(crate) previous: Digest,
}

impl Header {
    /// Takes a header whose checksum holds, of a version and with flags this program knows.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Flaw> {
        if bytes[..4] != MAGIC {
            return Err(Flaw::Magic);
        }
        if crc32c::crc32c(&bytes[..60]) != u32::from_le_bytes(array(bytes, 60)) {
            return Err(Flaw::HeaderChecksum);
        }
        let version = u16::from_le_bytes(array(bytes, 4));
        if version != VERSION {
            return Err(Flaw::Version(version));
        }
        let flags = u16::from_le_bytes(array(bytes, 6));
        if flags != 0 {
            return Err(Flaw::Flags(flags));
        }
        let header = Self {
            number: u64::from_le_bytes(array(bytes, 8)),
            records: u32::from_le_bytes(array(bytes, 16)),
            body_bytes: u32::from_le_bytes(array(bytes, 20)),
            body_crc: u32::from_le_bytes(array(bytes, 24)),
            previous: array(bytes, 28),
        };
        let bytes = header.body_len();
        if bytes > GROUP_BYTES_MAX || to_usize(header.records.into()) > GROUP_RECORDS_MAX {
            return Err(Flaw::TooLarge {
                records: header.records,
                bytes: header.body_bytes,
            });
        }
        Ok(header)
    }

    /// Reads the header at `offset`.
    pub(crate) fn read(window: &mut Window, offset: u64) -> Result<Self, Fault> {
        Ok(Self::parse(&array(window.slice(offset, HEADER_BYTES)?, 0))?)
    }

    /// The whole group that this header starts, its records checked.
    pub(crate) fn group<'a>(&self, window: &'a mut Window, offset: u64) -> Result<&'a [u8], Fault> {
        let bytes = window.slice(offset, HEADER_BYTES + self.body_len())?;
        let body = &bytes[HEADER_BYTES..];
        if crc32c::crc32c(body) != self.body_crc {
            return Err(Flaw::BodyChecksum.into());
        }
        let count = raw_records(body).try_fold(0_u32, |count, raw| raw.map(|_| count + 1))?;
        if count != self.records {
            return Err(Flaw::Records.into());
        }
        Ok(bytes)
    }

    fn body_len(&self) -> usize {
        to_usize(self.body_bytes.into())
    }

    /// How long the group is, header and records.
    pub(crate) fn bytes(&self) -> u64 {
        to_u64(HEADER_BYTES) + u64::from(self.body_bytes)
    }
}

/// The records of a group that [`Header::group`] returned, each with its offset in the group.
pub(crate) fn records(group: &[u8]) -> impl Iterator<Item = Result<(u64, Record), Flaw>> {
    raw_records(&group[HEADER_BYTES..]).map(|raw| {
        let (at, header, payload) = raw?;
        let tenant = TenantId::from_bytes(array(header, 0)).map_err(|_| Flaw::Records)?;
        let seq = u64::from_le_bytes(array(header, 16));
        Ok((
            to_u64(HEADER_BYTES + at),
            Record {
                tenant,
                seq,
                payload: Arc::from(payload),
            },
        ))
    })
}

/// The length of the payload that a record's header names, if one may be that long.
pub(crate) fn payload_bytes(header: &[u8; RECORD_HEADER_BYTES]) -> Result<usize, Flaw> {
    let length = to_usize(u32::from_le_bytes(array(header, 24)).into());
    if length > PAYLOAD_BYTES_MAX {
        Err(Flaw::Records)
    } else {
        Ok(length)
    }
}

/// One record alone, by its own checksum: header and payload, nothing more.
pub(crate) fn record(bytes: &[u8]) -> Result<Record, Flaw> {
    let (header, payload) = bytes.split_at(RECORD_HEADER_BYTES);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..28]), payload);
    if crc != u32::from_le_bytes(array(header, 28)) {
        return Err(Flaw::BodyChecksum);
    }
    let tenant = TenantId::from_bytes(array(header, 0)).map_err(|_| Flaw::Records)?;
    let seq = u64::from_le_bytes(array(header, 16));
    Ok(Record {
        tenant,
        seq,
        payload: Arc::from(payload),
    })
}

/// How long the records are on the disk, with their headers.
pub(crate) fn body_bytes(records: &[Record]) -> usize {
    records
        .iter()
        .map(|record| RECORD_HEADER_BYTES + record.payload.len())
        .sum()
}

/// What [`encode`] says about the bytes it made.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Where each record starts, from the start of the group.
    pub(crate) offsets: Vec<u64>,
    pub(crate) hash: Digest,
}

/// Writes a group into `out`, which is cleared first. The caller has checked the limits.
pub(crate) fn encode(
    number: u64,
    previous: &Digest,
    records: &[Record],
    out: &mut Vec<u8>,
) -> Encoded {
    out.clear();
    out.resize(HEADER_BYTES, 0);
    let mut offsets = Vec::with_capacity(records.len());
    for record in records {
        offsets.push(to_u64(out.len()));
        encode_record(record, out);
    }
    let body = &out[HEADER_BYTES..];
    let body_crc = crc32c::crc32c(body);
    let body_bytes = u32::try_from(body.len()).expect("GROUP_BYTES_MAX, checked, fits");
    let count = u32::try_from(records.len()).expect("GROUP_RECORDS_MAX, checked, fits");
    out[..4].copy_from_slice(&MAGIC);
    out[4..6].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&number.to_le_bytes());
    out[16..20].copy_from_slice(&count.to_le_bytes());
    out[20..24].copy_from_slice(&body_bytes.to_le_bytes());
    out[24..28].copy_from_slice(&body_crc.to_le_bytes());
    out[28..60].copy_from_slice(previous);
    let header_crc = crc32c::crc32c(&out[..60]);
    out[60..64].copy_from_slice(&header_crc.to_le_bytes());
    Encoded {
        offsets,
        hash: hash(out),
    }
}

/// The hash by which the next group attests this one.
pub(crate) fn hash(group: &[u8]) -> Digest {
    Sha256::digest(group).into()
}

fn encode_record(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    let length = u32::try_from(record.payload.len()).expect("PAYLOAD_BYTES_MAX, checked, fits");
    out.extend_from_slice(record.tenant.as_bytes());
    out.extend_from_slice(&record.seq.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[start..]), &record.payload);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&record.payload);
}

/// Each record as its offset in the body, its header and its payload; ends at the first that does
/// not fit.
pub(crate) fn raw_records(
    body: &[u8],
) -> impl Iterator<Item = Result<(usize, &[u8], &[u8]), Flaw>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let Some(header) = rest.first_chunk::<RECORD_HEADER_BYTES>() else {
            at = body.len();
            return Some(Err(Flaw::Records));
        };
        let fits = payload_bytes(header)
            .and_then(|n| rest[RECORD_HEADER_BYTES..].get(..n).ok_or(Flaw::Records));
        match fits {
            Ok(payload) => {
                at += RECORD_HEADER_BYTES + payload.len();
                Some(Ok((start, header.as_slice(), payload)))
            }
            Err(flaw) => {
                at = body.len();
                Some(Err(flaw))
            }
        }
    })
}

/// The bytes a group starts with; see the table.
pub(crate) const MAGIC: [u8; 4] = [0xff, b'P', b'G', 0xfe];
const VERSION: u16 = 1;
/// Fixed by the format.
pub(crate) const HEADER_BYTES: usize = 64;
/// Fixed by the format.
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
/// 64 of the largest records: one `fdatasync` of 4 MiB takes some 10 ms on a slow disk, and a
/// reader or a recovery never holds more than this.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What 4 MiB holds of records of 500 bytes; more would only make the acknowledgement later.
pub const GROUP_RECORDS_MAX: usize = 8_192;

#[cfg(test)]
mod tests;
