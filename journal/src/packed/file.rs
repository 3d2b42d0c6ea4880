//! Reading a compressed segment through the offsets of its original.

use std::{
    cell::RefCell,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use zstd::bulk::Decompressor;

use super::{BLOCK, ENTRY_BYTES, HEADER_BYTES, Header, PACKED_BLOCK_MAX, Summary, block_start};
use crate::{
    convert::{array, to_u64, to_usize},
    disk::DiskFile,
    flaw::{Fault, Flaw, StoredFlaw},
    read::fill,
};

/// A compressed segment, open: a file that cannot be written, as long as the original and with its
/// bytes. Header and table are read and checked once, a block each time it is needed.
pub(crate) struct Packed {
    file: Arc<dyn DiskFile>,
    header: Header,
    blocks: Vec<Block>,
    // The one used last at the end.
    recent: Mutex<Vec<(usize, Arc<[u8]>)>>,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy)]
struct Block {
    at: u64,
    bytes: u32,
    crc: u32,
}

impl Packed {
    /// Reads and checks header and table; allocates nothing for sizes that the file itself is not
    /// long enough for.
    pub(crate) fn open(file: Arc<dyn DiskFile>, number: u64) -> Result<Self, Fault> {
        let have = file.length()?;
        let mut bytes = [0; HEADER_BYTES];
        let header = match fill(file.as_ref(), 0, &mut bytes)? {
            HEADER_BYTES => Header::parse(&bytes, number),
            _ => Err(Flaw::Short {
                need: to_u64(HEADER_BYTES),
                have,
            }),
        };
        let header = header.map_err(|why| flaw(0, u64::MAX, why))?;
        let at = header.blocks_at();
        let short = |need| flaw(have, header.length, Flaw::Short { need, have });
        if have < at {
            return Err(short(at));
        }
        let mut table = vec![0; header.blocks() * ENTRY_BYTES];
        let table_at = to_u64(HEADER_BYTES);
        if fill(file.as_ref(), table_at, &mut table)? < table.len() {
            return Err(short(at));
        }
        if crc32c::crc32c(&table) != header.table_crc {
            return Err(flaw(table_at, header.length, Flaw::TableChecksum));
        }
        let (blocks, end) =
            parse_table(&table, at).map_err(|why| flaw(table_at, header.length, why))?;
        match have.cmp(&end) {
            std::cmp::Ordering::Less => Err(short(end)),
            std::cmp::Ordering::Greater => Err(flaw(end, header.length, Flaw::Layout)),
            std::cmp::Ordering::Equal => Ok(Self {
                file,
                header,
                blocks,
                recent: Mutex::default(),
            }),
        }
    }

    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) const fn summary(&self) -> &Summary {
        &self.header.summary
    }

    /// How long the file is.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let last = self.blocks.last();
        last.map_or(0, |block| block.at + u64::from(block.bytes))
    }

    /// Where in the file the block stands that holds this byte of the original.
    pub(crate) fn stored_offset(&self, offset: u64) -> u64 {
        let block = self.blocks.get(to_usize(offset / u64::from(BLOCK)));
        block.map_or(0, |block| block.at)
    }

    /// Reads block `index` as it stands, checks it, and gives it to `take`.
    fn with_stored<T>(
        &self,
        index: usize,
        take: impl FnOnce(&[u8]) -> Result<T, Flaw>,
    ) -> io::Result<T> {
        let Block { at, bytes, crc } = self.blocks[index];
        let mut stored = vec![0; to_usize(bytes.into())];
        let filled = fill(self.file.as_ref(), at, &mut stored)?;
        let outcome = if filled < stored.len() {
            Err(Flaw::Short {
                need: bytes.into(),
                have: to_u64(filled),
            })
        } else if crc32c::crc32c(&stored) != crc {
            Err(Flaw::BlockChecksum)
        } else {
            take(&stored)
        };
        let start = block_start(index);
        let lost = start..start + to_u64(self.header.block_bytes(index));
        outcome.map_err(|why| {
            let offset = at;
            StoredFlaw { offset, lost, why }.into()
        })
    }

    /// Checks the stored bytes of block `index` without decompressing them.
    pub(crate) fn check_block(&self, index: usize) -> io::Result<()> {
        self.with_stored(index, |_| Ok(()))
    }

    /// Decompresses block `index` into `out`, which is exactly as long as the block.
    fn unpack(&self, index: usize, out: &mut [u8]) -> io::Result<()> {
        self.with_stored(index, |stored| match decompress(stored, out) {
            Ok(count) if count == out.len() => Ok(()),
            Ok(_) | Err(_) => Err(Flaw::Block),
        })
    }

    fn block(&self, index: usize) -> io::Result<Arc<[u8]>> {
        if let Some(block) = self.recent(index) {
            return Ok(block);
        }
        let mut bytes = vec![0; self.header.block_bytes(index)];
        self.unpack(index, &mut bytes)?;
        let block: Arc<[u8]> = bytes.into();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        // Two readers may have missed it at the same time.
        recent.retain(|(known, _)| *known != index);
        if recent.len() >= RECENT_MAX {
            recent.remove(0);
        }
        recent.push((index, Arc::clone(&block)));
        Ok(block)
    }

    fn recent(&self, index: usize) -> Option<Arc<[u8]>> {
        // The list is whole whatever panicked: it is changed by single pushes and removals.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = recent.iter().position(|(known, _)| *known == index)?;
        let found = recent.remove(place);
        let block = Arc::clone(&found.1);
        recent.push(found);
        Some(block)
    }
}

impl DiskFile for Packed {
    /// Reads from one block at a time.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.header.length || buffer.is_empty() {
            return Ok(0);
        }
        let index = to_usize(offset / u64::from(BLOCK));
        let skip = to_usize(offset - block_start(index));
        let bytes = self.header.block_bytes(index);
        if skip == 0 && buffer.len() >= bytes {
            match self.recent(index) {
                Some(block) => buffer[..bytes].copy_from_slice(&block),
                // Who reads whole blocks reads on: nothing is gained by keeping them.
                None => self.unpack(index, &mut buffer[..bytes])?,
            }
            return Ok(bytes);
        }
        let block = self.block(index)?;
        let count = (bytes - skip).min(buffer.len());
        buffer[..count].copy_from_slice(&block[skip..skip + count]);
        Ok(count)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_all(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.header.length)
    }
}

impl fmt::Debug for Packed {
    /// The blocks are somebody's data, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed")
            .field("file", &self.file)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The places of all blocks, the first at `at`, and where the last one ends.
fn parse_table(table: &[u8], mut at: u64) -> Result<(Vec<Block>, u64), Flaw> {
    let mut blocks = Vec::with_capacity(table.len() / ENTRY_BYTES);
    for entry in table.chunks_exact(ENTRY_BYTES) {
        let bytes = u32::from_le_bytes(array(entry, 0));
        let crc = u32::from_le_bytes(array(entry, 4));
        if !(1..=PACKED_BLOCK_MAX).contains(&to_usize(bytes.into())) {
            return Err(Flaw::Layout);
        }
        blocks.push(Block { at, bytes, crc });
        at += u64::from(bytes);
    }
    Ok((blocks, at))
}

/// A flaw for which the whole segment cannot be read.
fn flaw(offset: u64, length: u64, why: Flaw) -> Fault {
    Fault::Stored(StoredFlaw {
        offset,
        lost: 0..length,
        why,
    })
}

/// Never writes more than `out` holds, whatever the frame says.
fn decompress(stored: &[u8], out: &mut [u8]) -> io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(stored, out)
    })
}

thread_local! {
    /// One for each thread that reads: making one costs more than decompressing a block.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A record and its neighbour across two blocks, for two readers: 128 KiB a handle.
const RECENT_MAX: usize = 4;
