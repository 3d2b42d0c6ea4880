//! Directories of many tenants: what a look-up says, what it costs, and what it costs to keep them.

use super::{
    super::{
        directory::Directory,
        layout::{BLOCK_BYTES, HEADER_BYTES, Header, SECTION_BYTES, Section},
    },
    *,
};
use crate::convert::{to_u32, to_usize};

/// As many tenants as there are numbers, of a few times, in order of id.
fn tenants(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<TenantId> {
    let tenant = |number: u32| {
        let hash = leaf_hash(&number.to_be_bytes());
        let time = Timestamp::from_millis(i64::from(hash[31] % 3));
        TenantId::from_parts(time, array(&hash, 0))
    };
    numbers.into_iter().map(tenant).collect()
}

/// An index in which each of them has one event.
fn index_of(tenants: &BTreeSet<TenantId>) -> Growing {
    let mut index = Growing::default();
    for (offset, tenant) in (100..).zip(tenants) {
        let mut event = envelope(1, 1, 1);
        event.tenant = *tenant;
        let marks = Marks::of(&event, tenant.as_bytes());
        index.insert(&event, offset, &marks);
    }
    for (_, table) in index.tenants() {
        table.plant(Frontier::default());
        while table.follow() == Some(false) {}
    }
    index
}

/// The file of such an index, on a disk that counts, and the index opened.
fn opened(tenants: &BTreeSet<TenantId>) -> (Bytes, Arc<Sealed>) {
    let bytes = write::encode(7, &index_of(tenants)).unwrap();
    let disk = Bytes::from(&bytes[..]);
    let sealed = reopened(&disk);
    disk.taken();
    (disk, sealed)
}

fn reopened(disk: &Bytes) -> Arc<Sealed> {
    let disk = Arc::new(disk.clone());
    Arc::new(Sealed::open(disk, Path::new("7.idx"), 7).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn look_ups_agree_with_the_list_of_all_tenants(
        seed in 0_u32..1_000_000,
        count in prop::sample::select(vec![1, 2, 63, 64, 65, 127, 128, 129, 1_025]),
    ) {
        let here = tenants(seed..seed + count);
        let elsewhere = tenants(seed + count..seed + 2 * count);
        let memory = index_of(&here);
        let (_, file) = opened(&here);
        let listed: Result<Vec<_>, _> = file
            .tenants()
            .map(|item| item.map(|(tenant, table)| (tenant, table.span())))
            .collect();
        let expected = memory.tenants().map(|(tenant, table)| (tenant, table.span()));
        prop_assert_eq!(listed.unwrap(), expected.collect::<Vec<_>>());
        for (tenant, table) in memory.tenants() {
            prop_assert!(file.may_hold(tenant));
            let found = file.tenant(tenant).unwrap().unwrap();
            prop_assert_eq!(found.span(), table.span());
            prop_assert_eq!(found.offsets(0, 1).unwrap(), table.offsets(0, 1).unwrap());
        }
        for tenant in elsewhere.difference(&here) {
            prop_assert!(file.tenant(*tenant).unwrap().is_none());
        }
        let latest = memory.tenants().map(|(_, table)| table.span().latest).max();
        prop_assert_eq!(file.latest(), latest);
        prop_assert!(file.check().is_ok());
    }
}

#[test]
fn a_tenant_that_is_here_costs_one_read_the_first_time_and_none_the_second() {
    let here = tenants(0..200);
    let (disk, sealed) = opened(&here);
    let recent = Recent::default();
    recent.opened(&sealed);
    assert_eq!(disk.taken(), 0, "it is not small");
    for (time, reads) in [("first", 1), ("second", 0)] {
        for tenant in &here {
            let asked = std::cell::Cell::new(0);
            let reading = || asked.set(asked.get() + 1);
            let found = recent.tenant(&sealed, *tenant, reading).unwrap();
            assert_eq!(found.unwrap().section.tenant, *tenant);
            assert_eq!(
                (disk.taken(), asked.get()),
                (reads, reads),
                "the {time} time"
            );
        }
    }
}

#[test]
fn a_tenant_that_is_not_here_costs_no_read_but_one_in_a_thousand_one_read_once() {
    let here = tenants(0..200);
    let (disk, sealed) = opened(&here);
    let recent = Recent::default();
    let mut mistaken = 0;
    for tenant in tenants(1_000..11_000) {
        let reads = u64::from(sealed.may_hold(tenant));
        for expected in [reads, 0] {
            assert!(recent.tenant(&sealed, tenant, || ()).unwrap().is_none());
            assert_eq!(disk.taken(), expected);
        }
        mistaken += reads;
    }
    assert!((1..30).contains(&mistaken), "{mistaken} of 10,000");
}

#[test]
fn a_directory_of_one_block_is_remembered_whole_when_it_is_opened() {
    let here = tenants(0..64);
    let (disk, sealed) = opened(&here);
    let recent = Recent::default();
    recent.opened(&sealed);
    assert_eq!(disk.taken(), 1);
    for tenant in here {
        assert!(recent.tenant(&sealed, tenant, || ()).unwrap().is_some());
    }
    assert_eq!(disk.taken(), 0);
}

#[test]
fn an_index_that_was_built_again_is_asked_anew() {
    let here = tenants(0..65);
    let (disk, sealed) = opened(&here);
    let recent = Recent::default();
    let again = reopened(&disk);
    disk.taken();
    let tenant = *here.first().unwrap();
    for (index, reads) in [(&sealed, 1), (&again, 1), (&again, 0), (&sealed, 1)] {
        assert!(recent.tenant(index, tenant, || ()).unwrap().is_some());
        assert_eq!(disk.taken(), reads);
    }
}

#[test]
fn what_was_asked_for_longest_ago_is_forgotten_first() {
    let here = tenants(0..4_097);
    let (disk, sealed) = opened(&here);
    let recent = Recent::default();
    for tenant in &here {
        recent.tenant(&sealed, *tenant, || ()).unwrap();
    }
    disk.taken();
    let reads = here.iter().take(2).rev().map(|tenant| {
        recent.tenant(&sealed, *tenant, || ()).unwrap();
        disk.taken()
    });
    assert_eq!(reads.collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_bit_that_turns_over_in_a_directory_after_opening_is_found_where_it_is_asked_for() {
    let here = tenants(0..150);
    for place in (HEADER_BYTES..HEADER_BYTES + 150 * SECTION_BYTES).step_by(67) {
        let (disk, sealed) = opened(&here);
        disk.flip(place);
        let block = (place - HEADER_BYTES) / BLOCK_BYTES;
        let at = to_u64(HEADER_BYTES + block * BLOCK_BYTES);
        for (number, tenant) in here.iter().enumerate() {
            let found = sealed.tenant(*tenant);
            if number / 64 == block {
                assert!(matches!(found, Err(IndexError::Damaged { offset, .. }) if offset == at));
            } else {
                assert_eq!(found.unwrap().unwrap().section.tenant, *tenant);
            }
        }
        let why = sealed.check().unwrap_err();
        let named = name_index(7, Some(&sealed), &why).unwrap();
        assert_eq!((named.offset, named.tenants), (at, Vec::new()));
        assert!(sealed.tenants().any(|item| item.is_err()));
        // Nor is anybody named for a damaged body who stands beside what cannot be read.
        let body = IndexError::damaged_part((sealed_body(&sealed), 1), "a test");
        assert!(sealed.hit(&body).is_err());
    }
}

#[test]
fn a_directory_of_many_tenants_keeps_less_than_three_bytes_of_each() {
    let count = 100_000;
    let one = index_of(&tenants(0..1));
    let span = one.tenants().next().unwrap().1.span();
    let mut end = 0;
    let mut directory = Vec::new();
    for tenant in tenants(0..count) {
        let mut section = Section {
            tenant,
            span,
            terms: 7,
            bitmap_bytes: 0,
            length: 0,
            at: end,
        };
        section.length = u32::try_from(section.columns().end).unwrap();
        end += u64::from(section.length);
        section.write(&mut directory);
    }
    let header = Header {
        segment: 7,
        tenants: to_u32(directory.len() / SECTION_BYTES),
        body_bytes: end,
        directory_crc: crc32c::crc32c(&directory),
        checksums_crc: 0,
    };
    let file = Bytes::from(&[&header.encode()[..], &directory].concat()[..]);
    let kept = Directory::read(&file, &header).unwrap().kept_bytes();
    let (kept, checksums) = (to_u64(kept), header.blocks() * 4);
    println!("{kept} bytes of marks, {checksums} of checksums");
    assert!(kept < 3 * u64::from(header.tenants), "{kept} bytes");
    assert!(to_usize(kept) * 25 < directory.len());
}

fn sealed_body(sealed: &Sealed) -> u64 {
    let first = sealed.tenants().find_map(Result::ok);
    first.map_or(u64::MAX - 1, |(_, table)| table.blocks.body_at())
}
