//! The format, byte for byte.

use provost_protocol::TenantId;

use super::*;

/// Made from the tables of the module's doc by another program, not by [`encode`].
const GOLDEN: &[u8] = include_bytes!("../../golden/group-v1.bin");

fn golden_records() -> Vec<Record> {
    let tenant: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let other: TenantId = "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap();
    vec![
        Record::new(tenant, 1, &b"{\"v\":1}"[..]),
        Record::new(other, u64::MAX, &b""[..]),
        Record::new(tenant, 2, &[0xff; 300][..]),
    ]
}

fn header_of(bytes: &[u8]) -> Result<Header, Flaw> {
    Header::parse(bytes.first_chunk().unwrap())
}

/// A header with two bytes changed and its checksum made right again.
fn patched(at: usize, bytes: [u8; 2]) -> Vec<u8> {
    let mut group = GOLDEN.to_vec();
    group[at..at + 2].copy_from_slice(&bytes);
    let crc = crc32c::crc32c(&group[..60]);
    group[60..64].copy_from_slice(&crc.to_le_bytes());
    group
}

#[test]
fn a_group_of_version_1_keeps_its_bytes() {
    let mut out = Vec::new();
    let encoded = encode(41, &[0x5a; 32], &golden_records(), &mut out);
    assert_eq!(out, GOLDEN);
    assert_eq!(encoded.offsets, [64, 103, 135]);
}

#[test]
fn the_golden_group_is_read_back_whole_and_record_by_record() {
    let header = header_of(GOLDEN).unwrap();
    assert_eq!(
        (header.number, header.records, header.previous),
        (41, 3, [0x5a; 32])
    );
    assert_eq!(header.bytes(), u64::try_from(GOLDEN.len()).unwrap());
    let read: Vec<_> = records(GOLDEN).map(|item| item.unwrap().1).collect();
    assert_eq!(read, golden_records());
    assert_eq!(record(&GOLDEN[64..103]).unwrap(), golden_records()[0]);
}

#[test]
fn a_whole_group_of_a_newer_program_is_unsupported_and_not_torn() {
    for (at, bytes, flaw) in [
        (4, [2, 0], Flaw::Version(2)),
        (6, [1, 0], Flaw::Flags(1)),
        (6, [0, 128], Flaw::Flags(32_768)),
    ] {
        assert_eq!(header_of(&patched(at, bytes)), Err(flaw.clone()));
        assert!(flaw.is_unsupported() && !flaw.may_be_torn());
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_anything_is_read() {
    assert!(matches!(
        header_of(&patched(22, [0xff, 0xff])),
        Err(Flaw::TooLarge { .. })
    ));
    assert!(matches!(
        header_of(&patched(18, [0xff, 0xff])),
        Err(Flaw::TooLarge { .. })
    ));
}

#[test]
fn a_record_with_any_bit_flipped_is_not_read_alone() {
    for at in 0..39 * 8 {
        let mut bytes = GOLDEN[64..103].to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(record(&bytes).is_err(), "bit {at}");
    }
}

#[test]
fn records_that_do_not_fill_their_body_are_refused() {
    let body = &GOLDEN[HEADER_BYTES..];
    for cut in [1, 31, 38, 40, body.len() - 1] {
        assert!(raw_records(&body[..cut]).any(|raw| raw.is_err()), "{cut}");
    }
}
