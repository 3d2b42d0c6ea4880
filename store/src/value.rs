//! How one value stands in sled: version byte, CRC32C of the rest, bincode.
//!
//! The checksum is ours because sled's own was seen to pass over damage; a value that fails it is
//! never used: the state is rebuilt from the journal.

use provost_protocol::codec::{self, CodecError};
use serde::{Serialize, de::DeserializeOwned};

/// Why stored bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ValueError {
    /// Shorter than a header.
    #[error("{0} bytes are too few for a value")]
    Short(usize),
    /// Of a format this build does not know.
    #[error("value format {0} is unknown")]
    Version(u8),
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// The body is not what was asked for.
    #[error("the value does not decode")]
    Codec(#[from] CodecError),
    /// The value is larger than sled keeps in its log.
    #[error("a value of {0} bytes where at most {VALUE_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

/// Writes a value.
///
/// # Errors
/// [`ValueError::TooLarge`] over [`VALUE_BYTES_MAX`].
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, ValueError> {
    let body = codec::encode(value)?;
    if body.len() + HEADER_BYTES > VALUE_BYTES_MAX {
        return Err(ValueError::TooLarge(body.len()));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.push(VALUE_VERSION);
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads a value back.
///
/// # Errors
/// [`ValueError`] for anything but exactly what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ValueError> {
    let Some((&version, rest)) = bytes.split_first() else {
        return Err(ValueError::Short(0));
    };
    if version != VALUE_VERSION {
        return Err(ValueError::Version(version));
    }
    let Some((checksum, body)) = rest.split_first_chunk::<4>() else {
        return Err(ValueError::Short(bytes.len()));
    };
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return Err(ValueError::Checksum);
    }
    Ok(codec::decode(body)?)
}

/// The only value format so far; another one means a rebuild from the journal.
const VALUE_VERSION: u8 = 1;

/// Version byte and checksum.
const HEADER_BYTES: usize = 5;

/// sled 0.34 moves values over a quarter of its segment (128 KiB) into blob files that it never
/// syncs; half of that keeps well away.
pub(crate) const VALUE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_value_do_not_change() {
        let bytes = encode(&(7_u64, "ab".to_owned())).unwrap();
        assert_eq!(hex::encode(&bytes), "01baadcf380107026162");
        assert_eq!(
            decode::<(u64, String)>(&bytes).unwrap(),
            (7, "ab".to_owned())
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(&(7_u64, "ab".to_owned())).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<(u64, String)>(&damaged).is_err(), "bit {bit}");
        }
    }
}
