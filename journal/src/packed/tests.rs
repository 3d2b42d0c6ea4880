//! The compressed form, byte for byte, and what is made of files that are not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::*;
use crate::{
    disk::DiskFile,
    flaw::{Fault, StoredFlaw},
    read::fill,
};

/// Made from the tables of the module's doc by another program, with zstd's own command.
const GOLDEN: &[u8] = include_bytes!("../../golden/segment-packed-v1.bin");

/// A file in memory that remembers the largest read it was asked for, and how many.
#[derive(Debug, Default)]
struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    reads: Mutex<Vec<usize>>,
}

impl MemoryFile {
    fn of(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(bytes.to_vec()),
            reads: Mutex::default(),
        })
    }

    fn reads(&self) -> Vec<usize> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.lock().unwrap().push(buffer.len());
        let bytes = self.bytes.lock().unwrap();
        let rest = bytes.get(to_usize(offset)..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = to_usize(offset) + new.len();
        let length = bytes.len().max(end);
        bytes.resize(length, 0);
        bytes[to_usize(offset)..end].copy_from_slice(new);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(to_usize(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(to_u64(self.bytes.lock().unwrap().len()))
    }
}

/// What the golden file holds: the golden segment header and group, and filler.
fn golden_original() -> Vec<u8> {
    let mut original = include_bytes!("../../golden/segment-v1.bin").to_vec();
    original.extend_from_slice(include_bytes!("../../golden/group-v1.bin"));
    let filler = (0..33_000 - original.len()).map(|at| u8::try_from(at * 7 % 251).unwrap());
    original.extend(filler);
    original
}

fn golden_header() -> Header {
    Header {
        number: 7,
        length: 33_000,
        summary: summary(),
        table_crc: crc32c::crc32c(&GOLDEN[HEADER_BYTES..HEADER_BYTES + 2 * ENTRY_BYTES]),
    }
}

fn summary() -> Summary {
    Summary {
        groups: 12,
        records: 3,
        hash: [0xcd; 32],
        sealed: true,
    }
}

/// [`summary`], but never more groups and records than so many bytes can hold.
fn summary_of(bytes: usize) -> Summary {
    let all = summary();
    Summary {
        groups: all.groups.min(to_u64(bytes / crate::group::HEADER_BYTES)),
        records: all
            .records
            .min(to_u64(bytes / crate::group::RECORD_HEADER_BYTES)),
        ..all
    }
}

fn open(bytes: &[u8]) -> Result<Packed, Fault> {
    Packed::open(MemoryFile::of(bytes), 7)
}

/// Opens and reads all; the first thing that is wrong.
fn read_all(bytes: &[u8]) -> Result<Vec<u8>, StoredFlaw> {
    let read = || -> Result<Vec<u8>, Fault> {
        let packed = open(bytes)?;
        let mut out = vec![0; to_usize(packed.length()?)];
        let filled = fill(&packed, 0, &mut out)?;
        assert_eq!(filled, out.len());
        Ok(out)
    };
    read().map_err(|fault| match fault {
        Fault::Stored(flaw) => flaw,
        other => panic!("{other:?}"),
    })
}

fn pack(original: &[u8]) -> Vec<u8> {
    let out = MemoryFile::of(&[]);
    let made = make(
        MemoryFile::of(original).as_ref(),
        7,
        summary_of(original.len()),
        out.as_ref(),
    )
    .unwrap();
    let bytes = out.bytes.lock().unwrap().clone();
    assert_eq!(made, to_u64(bytes.len()));
    bytes
}

/// The golden file with a header of other fields, its checksum made right again.
fn patched(at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    let crc = crc32c::crc32c(&bytes[..92]);
    bytes[92..96].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_compressed_segment_of_version_1_is_read_back() {
    assert_eq!(read_all(GOLDEN).unwrap(), golden_original());
    let packed = open(GOLDEN).unwrap();
    assert_eq!(*packed.header(), golden_header());
    assert_eq!(golden_header().encode()[..], GOLDEN[..HEADER_BYTES]);
}

#[test]
fn what_is_made_holds_the_original_and_only_that() {
    let original = golden_original();
    let packed = open(&pack(&original)).unwrap();
    assert_eq!((packed.header().number, packed.summary()), (7, &summary()));
    assert!(packed.holds(MemoryFile::of(&original).as_ref()).unwrap());
    for at in [0, 32_767, 32_768, 32_999] {
        let mut other = original.clone();
        other[at] ^= 1;
        assert!(!packed.holds(MemoryFile::of(&other).as_ref()).unwrap());
    }
    let shorter = MemoryFile::of(&original[..32_999]);
    assert!(!packed.holds(shorter.as_ref()).unwrap());
}

#[test]
fn every_bit_flipped_is_named_with_the_place_it_is_in() {
    let first = to_usize(golden_header().blocks_at());
    let second = first + usize::from(u16::from_le_bytes(array(GOLDEN, HEADER_BYTES)));
    for at in 0..GOLDEN.len() * 8 {
        let mut bytes = GOLDEN.to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        let flaw = read_all(&bytes).unwrap_err();
        let (offset, lost) = match at / 8 {
            byte if byte < HEADER_BYTES => (0, 0..u64::MAX),
            byte if byte < first => (HEADER_BYTES, 0..33_000),
            byte if byte < second => (first, 0..32_768),
            _ => (second, 32_768..33_000),
        };
        assert_eq!((flaw.offset, flaw.lost), (to_u64(offset), lost), "bit {at}");
    }
}

#[test]
fn a_damaged_block_takes_no_other_block_with_it() {
    let first = to_usize(golden_header().blocks_at());
    let mut bytes = GOLDEN.to_vec();
    bytes[first + 20] ^= 1;
    let packed = open(&bytes).unwrap();
    let mut tail = [0; 232];
    assert_eq!(fill(&packed, 32_768, &mut tail).unwrap(), 232);
    assert_eq!(tail[..], golden_original()[32_768..]);
    assert!(packed.check_block(0).is_err() && packed.check_block(1).is_ok());
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    for length in 0..GOLDEN.len() {
        let flaw = read_all(&GOLDEN[..length]).unwrap_err();
        assert!(matches!(flaw.why, Flaw::Short { .. }), "{length}: {flaw:?}");
    }
    let mut longer = GOLDEN.to_vec();
    longer.push(0);
    let flaw = read_all(&longer).unwrap_err();
    assert_eq!(
        (flaw.offset, flaw.why),
        (to_u64(GOLDEN.len()), Flaw::Layout)
    );
}

#[test]
fn a_whole_header_of_a_newer_program_is_unsupported() {
    assert_eq!(
        read_all(&patched(8, &[2, 0])).unwrap_err().why,
        Flaw::Version(2)
    );
    assert_eq!(
        read_all(&patched(10, &[1, 0])).unwrap_err().why,
        Flaw::Flags(1)
    );
}

#[test]
fn sizes_out_of_range_are_refused_before_anything_is_read_for_them() {
    let huge = 0x0100_0000_0000_u64.to_le_bytes();
    for (at, new) in [
        (12, &[0, 0, 1, 0][..]),
        (24, &huge),
        (24, &[0; 8]),
        (32, &[0xff, 0xff, 0xff, 0xff]),
        (36, &[2, 0, 0, 0]),
        (40, &[0; 8]),
        (40, &[0xff; 8]),
        (48, &[0xff; 8]),
    ] {
        let file = MemoryFile::of(&patched(at, new));
        let refused = Packed::open(Arc::clone(&file) as _, 7);
        let Err(Fault::Stored(flaw)) = refused else {
            panic!("{at}: {refused:?}");
        };
        assert_eq!(flaw.why, Flaw::Layout, "{at}");
        assert_eq!(file.reads(), [HEADER_BYTES], "{at}");
    }
    let other = Packed::open(MemoryFile::of(GOLDEN), 8);
    assert!(matches!(
        other,
        Err(Fault::Stored(StoredFlaw {
            why: Flaw::Number {
                expected: 8,
                found: 7
            },
            ..
        }))
    ));
}

#[test]
fn a_block_that_matches_its_checksum_and_is_no_frame_is_named() {
    let mut bytes = GOLDEN.to_vec();
    let first = to_usize(golden_header().blocks_at());
    let length = usize::from(u16::from_le_bytes(array(GOLDEN, HEADER_BYTES)));
    bytes[first] ^= 1;
    let crc = crc32c::crc32c(&bytes[first..first + length]);
    bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&crc.to_le_bytes());
    let table = crc32c::crc32c(&bytes[HEADER_BYTES..first]);
    bytes[88..92].copy_from_slice(&table.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..92]);
    bytes[92..96].copy_from_slice(&crc.to_le_bytes());
    let flaw = read_all(&bytes).unwrap_err();
    assert_eq!((flaw.why, flaw.lost), (Flaw::Block, 0..32_768));
}

#[test]
fn opening_reads_header_and_table_once_and_a_small_read_one_block() {
    let file = MemoryFile::of(&pack(&vec![7; 200_000]));
    let packed = Packed::open(Arc::clone(&file) as _, 7).unwrap();
    assert_eq!(file.reads(), [HEADER_BYTES, 7 * ENTRY_BYTES]);
    let mut small = [0; 100];
    for offset in [40_000, 40_032, 40_100] {
        fill(&packed, offset, &mut small).unwrap();
    }
    assert_eq!(file.reads().len(), 1);
    fill(&packed, 98_300, &mut small).unwrap();
    assert_eq!(file.reads().len(), 2, "one that straddles needs two");
}

#[test]
fn the_bound_of_a_block_is_what_zstd_may_make_of_it() {
    assert!(zstd::zstd_safe::compress_bound(BLOCK_BYTES) <= PACKED_BLOCK_MAX);
    assert_eq!(to_u64(BLOCK_BYTES), u64::from(BLOCK));
    let noise: Vec<u8> = (0_u32..100_000)
        .flat_map(|at| crc32c::crc32c(&at.to_le_bytes()).to_le_bytes())
        .collect();
    assert_eq!(read_all(&pack(&noise)).unwrap(), noise);
}

#[test]
fn the_shortest_and_the_next_longer_segments_are_restored() {
    for length in [128, 129, 671, 700] {
        let original = golden_original()[..length].to_vec();
        assert_eq!(read_all(&pack(&original)).unwrap(), original);
    }
}

#[test]
fn a_compressed_segment_cannot_be_written() {
    let packed = open(GOLDEN).unwrap();
    assert!(packed.write_at(0, b"x").is_err() && packed.truncate(1).is_err());
    assert!(packed.sync_all().is_err() && packed.sync_data().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_restored_at_every_offset(
        seed in proptest::collection::vec(any::<u8>(), 128..4000),
        repeat in 1_usize..40,
        offset in 0_usize..200_000,
        length in 0_usize..100_000,
    ) {
        let original = seed.repeat(repeat);
        let packed = pack(&original);
        prop_assert_eq!(&read_all(&packed).unwrap(), &original);
        let opened = open(&packed).unwrap();
        let mut part = vec![0; length];
        let filled = fill(&opened, to_u64(offset), &mut part).unwrap();
        let expected = original.get(offset..).unwrap_or(&[]);
        prop_assert_eq!(&part[..filled], &expected[..expected.len().min(length)]);
    }

    #[test]
    fn any_bytes_as_a_file_are_refused_and_never_read_beyond_the_bounds(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        like_ours in any::<bool>(),
        length in 0_u64..10_000_000,
    ) {
        if like_ours && bytes.len() >= HEADER_BYTES {
            let header = Header { length: length.max(128), ..golden_header() };
            bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        }
        let file = MemoryFile::of(&bytes);
        let opened = Packed::open(Arc::clone(&file) as _, 7);
        prop_assert!(opened.is_err());
        prop_assert!(file.reads().iter().all(|read| *read <= HEADER_BYTES + bytes.len()));
    }

    #[test]
    fn any_frame_under_right_checksums_never_panics(
        frame in proptest::collection::vec(any::<u8>(), 1..2000),
        like_zstd in any::<bool>(),
    ) {
        let mut frame = frame;
        if like_zstd && frame.len() > 4 {
            frame[..4].copy_from_slice(&[0x28, 0xb5, 0x2f, 0xfd]);
        }
        let length = u32::try_from(frame.len()).unwrap();
        let mut table = length.to_le_bytes().to_vec();
        table.extend(crc32c::crc32c(&frame).to_le_bytes());
        let header = Header { length: 20_000, table_crc: crc32c::crc32c(&table), ..golden_header() };
        let mut bytes = header.encode().to_vec();
        bytes.extend(table);
        bytes.extend(frame);
        match read_all(&bytes) {
            Ok(read) => prop_assert_eq!(read.len(), 20_000),
            Err(flaw) => prop_assert_eq!(flaw.why, Flaw::Block),
        }
    }
}
