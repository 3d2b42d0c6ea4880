//! The only file that knows bincode (ADR 0002).
//!
//! An encoded value is one version byte and the bincode 2 body in the standard configuration
//! (little endian, variable-length integers). Decoding is limited in size before anything is
//! allocated, and must consume every byte: what is left over is damage or an attack, never padding.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not the value asked for, or a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// There is no version byte at all.
    #[error("empty")]
    Empty,
    /// The version byte is of a format this build does not speak.
    #[error("format version {found} is not {FORMAT_VERSION}")]
    Version {
        /// The byte found.
        found: u8,
    },
    /// The body is longer than any value may be.
    #[error("{bytes} bytes where at most {ENCODED_BYTES_MAX} are allowed")]
    TooLarge {
        /// Length found.
        bytes: usize,
    },
    /// The body is not an encoding of the value asked for.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Bytes follow the value.
    #[error("{0} trailing bytes")]
    Trailing(usize),
}

/// Encodes a value: version byte, then its bincode body.
///
/// # Errors
/// [`CodecError::TooLarge`] over [`ENCODED_BYTES_MAX`]; [`CodecError::Malformed`] for a type that
/// bincode cannot carry.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(64);
    encode_onto(&mut out, value, 0)?;
    Ok(out)
}

/// Encodes a value as one whole frame: `u32` little-endian length, version byte, body.
///
/// # Errors
/// As [`encode`].
pub fn encode_frame<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut frame = Vec::with_capacity(64);
    encode_frame_into(&mut frame, value)?;
    Ok(frame)
}

/// Encodes a value as one whole frame behind what `out` holds already, for frames that travel
/// together; after an error `out` is as before.
///
/// # Errors
/// As [`encode`].
pub fn encode_frame_into<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), CodecError> {
    let from = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let body = from + LENGTH_BYTES;
    let length = encode_onto(out, value, from).and_then(|()| {
        let bytes = out.len() - body;
        u32::try_from(bytes).map_err(|_| CodecError::TooLarge { bytes })
    });
    match length {
        Ok(length) => {
            out[from..body].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(from);
            Err(error)
        }
    }
}

/// Decodes a value from exactly these bytes.
///
/// # Errors
/// Every variant of [`CodecError`]; nothing larger than [`ENCODED_BYTES_MAX`] is looked at.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let Some((&version, body)) = bytes.split_first() else {
        return Err(CodecError::Empty);
    };
    if version != FORMAT_VERSION {
        return Err(CodecError::Version { found: version });
    }
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    let config = bincode::config::standard().with_limit::<ENCODED_BYTES_MAX>();
    let (value, consumed) = bincode::serde::decode_from_slice(body, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if consumed != body.len() {
        return Err(CodecError::Trailing(body.len() - consumed));
    }
    Ok(value)
}

fn encode_onto<T: Serialize>(out: &mut Vec<u8>, value: &T, from: usize) -> Result<(), CodecError> {
    out.push(FORMAT_VERSION);
    let config = bincode::config::standard();
    bincode::serde::encode_into_std_write(value, out, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    let bytes = out.len() - from;
    if bytes > ENCODED_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes });
    }
    Ok(())
}

/// The only format so far. A new one is a new number; old numbers stay readable where they last.
pub const FORMAT_VERSION: u8 = 1;

/// The largest frame after Welcome (contract.md, section 3) plus its length field.
pub const ENCODED_BYTES_MAX: usize = 1024 * 1024 + LENGTH_BYTES;

/// Bytes of the length field in front of a frame.
pub const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_value_do_not_change() {
        let value: (u32, String, Option<bool>) = (300, "ab".to_owned(), Some(true));
        let bytes = encode(&value).unwrap();
        assert_eq!(bytes, [1, 251, 44, 1, 2, b'a', b'b', 1, 1]);
        assert_eq!(
            decode::<(u32, String, Option<bool>)>(&bytes).unwrap(),
            value
        );
    }

    #[test]
    fn frames_that_travel_together_are_the_same_bytes_one_behind_the_other() {
        let mut out = Vec::new();
        encode_frame_into(&mut out, &7_u32).unwrap();
        encode_frame_into(&mut out, &"ab").unwrap();
        let apart = [encode_frame(&7_u32).unwrap(), encode_frame(&"ab").unwrap()];
        assert_eq!(out, apart.concat());
        let too_large = vec![0_u8; ENCODED_BYTES_MAX];
        assert!(encode_frame_into(&mut out, &too_large).is_err());
        assert_eq!(out, apart.concat(), "nothing of what was refused is left");
    }

    #[test]
    fn trailing_bytes_another_version_and_emptiness_are_refused() {
        let mut bytes = encode(&7_u32).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(CodecError::Trailing(1)));
        assert_eq!(
            decode::<u32>(&[9, 7]),
            Err(CodecError::Version { found: 9 })
        );
        assert_eq!(decode::<u32>(&[]), Err(CodecError::Empty));
    }

    #[test]
    fn a_length_that_lies_is_refused_before_it_is_allocated() {
        // A string that claims 2^60 bytes.
        let mut bytes = vec![FORMAT_VERSION, 253];
        bytes.extend_from_slice(&(1_u64 << 60).to_le_bytes());
        assert!(matches!(
            decode::<String>(&bytes),
            Err(CodecError::Malformed(_))
        ));
    }
}
