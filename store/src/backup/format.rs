//! The bytes of a backup: the tables of [`super`], and nothing of what they mean.

use super::BackupHeader;

/// The head of a file, with its checksum.
pub(super) fn head(header: &BackupHeader) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(header)?;
    let mut out = Vec::with_capacity(HEAD_BYTES + json.len() + CRC_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    out.extend_from_slice(&length_u32(json.len()).to_le_bytes());
    out.extend_from_slice(&json);
    Ok(with_crc(out))
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// A header of this length follows, and its checksum.
    Header(usize),
    /// A newer program wrote it.
    Newer(u16),
    /// A feature this program does not know, or a length that no header has.
    Broken(&'static str),
    /// Something else.
    Foreign,
}

/// Takes the first [`HEAD_BYTES`] apart.
pub(super) fn parse_head(bytes: &[u8; HEAD_BYTES]) -> Head {
    if !bytes.starts_with(MAGIC) {
        return Head::Foreign;
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if version > VERSION {
        return Head::Newer(version);
    }
    if version < VERSION || bytes[10..12] != [0, 0] {
        return Head::Broken("version and flags are not known");
    }
    let length = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    match usize::try_from(length) {
        Ok(length) if length <= HEADER_BYTES_MAX => Head::Header(length),
        _ => Head::Broken("the header is too long"),
    }
}

/// What stands before an entry's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryHead {
    pub(super) name: String,
    pub(super) mode: u32,
    pub(super) bytes: u64,
}

impl EntryHead {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY_BYTES + self.name.len() + CRC_BYTES);
        out.extend_from_slice(&ENTRY);
        out.extend_from_slice(&self.mode.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        let length = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        with_crc(out)
    }

    /// The length of the name, from the fixed part.
    pub(super) fn name_bytes(fixed: &[u8; ENTRY_BYTES]) -> Option<usize> {
        let length = usize::from(u16::from_le_bytes([fixed[16], fixed[17]]));
        (1..=NAME_BYTES_MAX).contains(&length).then_some(length)
    }

    /// Takes the whole of it apart, its checksum included; `None` where anything is wrong.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let body = without_crc(bytes)?;
        let (fixed, name) = body.split_first_chunk::<ENTRY_BYTES>()?;
        if !fixed.starts_with(&ENTRY) || Self::name_bytes(fixed)? != name.len() {
            return None;
        }
        let mode = fixed.get(4..8)?.try_into().ok().map(u32::from_le_bytes)?;
        let bytes = fixed.get(8..16)?.try_into().ok().map(u64::from_le_bytes)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        is_name(&name).then_some(Self { name, mode, bytes })
    }
}

/// Whether an entry may have this name: a file of the data folder itself, or of the journal's.
/// Nothing in a backup can name a place outside the folder that takes it.
pub(super) fn is_name(name: &str) -> bool {
    let file = name.strip_prefix(super::JOURNAL_PREFIX).unwrap_or(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !file.is_empty() && !file.starts_with('.') && file.chars().all(plain)
}

/// The end of a file, but for the digest and the mark.
pub(super) fn tail(entries: u32, before: u64) -> [u8; TAIL_BYTES] {
    let mut out = [0; TAIL_BYTES];
    out[..4].copy_from_slice(&TAIL);
    out[4..8].copy_from_slice(&entries.to_le_bytes());
    out[8..].copy_from_slice(&before.to_le_bytes());
    out
}

/// Appends the CRC32C of what is there.
fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// What stands before a CRC32C that holds.
pub(super) fn without_crc(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(super) const MAGIC: &[u8; 8] = b"PVSTBKP\xff";
/// The only format so far.
pub(super) const VERSION: u16 = 1;
pub(super) const ENTRY: [u8; 4] = [0xff, b'B', b'E', 0xfe];
pub(super) const TAIL: [u8; 4] = [0xff, b'B', b'T', 0xfe];
pub(super) const END: &[u8; 8] = b"PVSTEND\xff";
/// Fixed by the format.
pub(super) const HEAD_BYTES: usize = 16;
/// Fixed by the format.
pub(super) const ENTRY_BYTES: usize = 18;
/// Fixed by the format.
pub(super) const TAIL_BYTES: usize = 16;
/// Fixed by the format.
pub(super) const CRC_BYTES: usize = 4;
/// A header is some 300 bytes; a reader never takes more than this into memory for one.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// As long as a file system lets a name be.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_and_of_the_journal_can_be_named() {
        for name in ["install.json", "ca.key", "journal/0000000000000001.segz"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "journal/",
            "journal/../x",
            "journal/.x",
            "journal/a/b",
            ".new-x",
            "a\0b",
            "a b",
            "ä",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn an_entry_reads_back_and_every_flipped_bit_is_noticed() {
        let head = EntryHead {
            name: "journal/0000000000000001.seg".to_owned(),
            mode: 0o600,
            bytes: 1 << 40,
        };
        let bytes = head.encode();
        assert_eq!(EntryHead::parse(&bytes), Some(head));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EntryHead::parse(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_another_file_and_from_a_broken_one() {
        let mut bytes = [0; HEAD_BYTES];
        assert_eq!(parse_head(&bytes), Head::Foreign);
        bytes[..8].copy_from_slice(MAGIC);
        assert!(matches!(parse_head(&bytes), Head::Broken(_)));
        bytes[8] = 1;
        bytes[12] = 7;
        assert_eq!(parse_head(&bytes), Head::Header(7));
        bytes[10] = 1;
        assert!(matches!(parse_head(&bytes), Head::Broken(_)));
        bytes[8] = 2;
        assert_eq!(parse_head(&bytes), Head::Newer(2));
        (bytes[8], bytes[10], bytes[14]) = (1, 0, 2);
        assert!(matches!(parse_head(&bytes), Head::Broken(_)));
    }
}
