//! One entry point for each input that comes from outside, or back from a disk.
//!
//! A `target` takes any bytes. It panics when a reader panics, when what was read and written again
//! is not the same, or when something unsigned is believed: these are the only defects it looks
//! for, and a refusal is none. The same entry points are replayed over the seeds in `corpus/` by
//! `cargo test -p provost-fuzz`, tried there on arbitrary bytes and on mutated seeds, and driven by
//! a coverage-guided fuzzer (`libfuzzer/`, docs/formats.md).

pub mod audit_event;
pub mod backup_file;
pub mod checkpoint;
pub mod client_message;
pub mod config;
pub mod csr;
pub mod enrolment_token;
pub mod envelope;
pub mod frame;
pub mod index_file;
pub mod journal_segment;
pub mod journal_segz;
pub mod license;
mod memory_disk;
pub mod note;
pub mod provider_token;
pub mod recovery;
mod segments;
pub mod server_message;
pub mod spiffe_id;
pub mod tlog_proof;

/// One entry point.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name, and that of its folder of seeds.
    pub name: &'static str,
    /// What takes the bytes.
    pub target: fn(&[u8]),
    /// How costly one call is.
    pub cost: Cost,
}

/// How costly one call is: how often a test can afford it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Microseconds.
    Small,
    /// It opens a journal in memory, or checks signatures.
    Medium,
    /// It opens a store on the disk.
    Large,
}

macro_rules! entries {
    ($($name:ident: $cost:ident,)*) => {
        /// Every entry point, in the order of its name.
        pub const ENTRIES: &[Entry] = &[$(Entry {
            name: stringify!($name),
            target: $name::target,
            cost: Cost::$cost,
        },)*];
    };
}

entries! {
    audit_event: Small,
    backup_file: Large,
    checkpoint: Small,
    client_message: Small,
    config: Small,
    csr: Medium,
    enrolment_token: Small,
    envelope: Small,
    frame: Small,
    index_file: Large,
    journal_segment: Medium,
    journal_segz: Medium,
    license: Small,
    note: Small,
    provider_token: Medium,
    recovery: Medium,
    server_message: Small,
    spiffe_id: Small,
    tlog_proof: Small,
}

/// Decodes one wire message and writes it again.
///
/// Bytes are compared, not values: a metric may be no number, which equals nothing.
fn message<T: serde::Serialize + serde::de::DeserializeOwned>(data: &[u8]) {
    use provost_protocol::codec::{decode, encode};

    let Ok(read) = decode::<T>(data) else { return };
    let written = encode(&read).expect("what was read fits into a frame again");
    let again: T = decode(&written).expect("what was written is read");
    assert_eq!(encode(&again).expect("it fits again"), written);
}

/// The public half of the first test key of RFC 8032, section 7.1: it has signed no seed.
const STRANGER: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
