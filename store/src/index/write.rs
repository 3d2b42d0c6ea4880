//! Writing an index file.

use std::path::Path;

use provost_journal::disk::Disk;
use provost_protocol::TenantId;
use roaring::RoaringBitmap;

use super::{
    Growing, GrowingTable, IndexError, Table as _,
    growing::Posting,
    layout::{BLOCK_BYTES, Header, MANY, Section, bucket_bits, stored_levels},
};
use crate::{
    convert::{to_u32, to_u64, to_usize},
    fail_points,
};

/// Writes the file whole or not at all. Every table's tree must have been followed to its end.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &Path,
    segment: u64,
    index: &Growing,
) -> Result<(), IndexError> {
    fail_points::reach(fail_points::BEFORE_INDEX);
    let bytes = encode(segment, index)?;
    let temporary = path.with_extension("idx.new");
    // Left by a process that was killed while it wrote.
    match disk.remove(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = disk.create(&temporary)?;
    file.write_at(0, &bytes)?;
    // Not for safety, which a rebuild gives, but so that a power cut is not followed by one.
    file.sync_data()?;
    fail_points::reach(fail_points::INDEX_WRITTEN);
    disk.rename(&temporary, path)?;
    fail_points::reach(fail_points::INDEX_NAMED);
    Ok(())
}

/// The bytes of the file.
pub(super) fn encode(segment: u64, index: &Growing) -> Result<Vec<u8>, IndexError> {
    let mut directory = Vec::new();
    let mut body = Vec::new();
    let mut tenants = 0_u32;
    for (tenant, table) in index.tenants() {
        section(tenant, table, &mut body)?.write(&mut directory);
        tenants += 1;
    }
    let mut checksums = Vec::new();
    for block in body.chunks(BLOCK_BYTES) {
        checksums.extend_from_slice(&crc32c::crc32c(block).to_le_bytes());
    }
    let header = Header {
        segment,
        tenants,
        body_bytes: to_u64(body.len()),
        directory_crc: crc32c::crc32c(&directory),
        checksums_crc: crc32c::crc32c(&checksums),
    };
    Ok([&header.encode()[..], &directory, &checksums, &body].concat())
}

fn section(
    tenant: TenantId,
    table: &GrowingTable,
    out: &mut Vec<u8>,
) -> Result<Section, IndexError> {
    let at = out.len();
    let tree = table.followed(|frontier, nodes| {
        frontier
            .subtrees()
            .iter()
            .for_each(|node| out.extend_from_slice(node));
        for offset in table.all_offsets() {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        for time in table.all_times() {
            out.extend_from_slice(&time.to_le_bytes());
        }
        table
            .leaves()
            .iter()
            .for_each(|leaf| out.extend_from_slice(leaf));
        for level in stored_levels() {
            let nodes = nodes.get(&level).into_iter().flatten();
            nodes.for_each(|node| out.extend_from_slice(node));
        }
    });
    tree.ok_or(IndexError::damaged(
        0,
        "the tree was not followed to its end",
    ))?;
    let (terms, bitmap_bytes) = postings(table, out)?;
    let section = Section {
        tenant,
        span: table.span(),
        terms,
        bitmap_bytes,
        length: u32::try_from(out.len() - at).map_err(|_| IndexError::TooLarge)?,
        at: to_u64(at),
    };
    debug_assert_eq!(section.columns().end, u64::from(section.length));
    Ok(section)
}

/// Buckets, terms, bitmaps; says how many terms and how long the bitmaps.
fn postings(table: &GrowingTable, out: &mut Vec<u8>) -> Result<(u32, u32), IndexError> {
    let mut sorted = table.postings();
    sorted.sort_unstable_by_key(|(term, _)| *term);
    let count = u32::try_from(sorted.len()).map_err(|_| IndexError::TooLarge)?;
    let bits = bucket_bits(count);
    for bucket in 0..=1_u64 << bits {
        let begin = sorted.partition_point(|(term, _)| bucket_of(*term, bits) < bucket);
        out.extend_from_slice(&to_u32(begin).to_le_bytes());
    }
    let mut bitmaps = Vec::new();
    for (term, posting) in sorted {
        let value = match posting {
            Posting::One(entry) => *entry,
            Posting::Many(bitmap) => MANY | append(&mut bitmaps, bitmap)?,
        };
        out.extend_from_slice(&term.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&bitmaps);
    Ok((count, to_u32(bitmaps.len())))
}

/// Writes one bitmap and says where it begins.
fn append(bitmaps: &mut Vec<u8>, bitmap: &RoaringBitmap) -> Result<u32, IndexError> {
    let at = u32::try_from(bitmaps.len()).map_err(|_| IndexError::TooLarge)?;
    if at >= MANY {
        return Err(IndexError::TooLarge);
    }
    bitmaps.extend_from_slice(&to_u32(bitmap.serialized_size()).to_le_bytes());
    bitmap.serialize_into(&mut *bitmaps)?;
    Ok(at)
}

/// The bucket of a term, of 2^bits.
pub(super) fn bucket_of(term: u64, bits: u32) -> u64 {
    // A shift by all 64 bits is not one.
    term.checked_shr(u64::BITS - bits).unwrap_or(0)
}

/// The number of a bucket as a place in its table.
pub(super) fn bucket_at(bucket: u64) -> u64 {
    to_u64(to_usize(bucket)) * 4
}
