//! Frames of `provost/1` (contract.md, section 3), without I/O.
//!
//! A frame is a `u32` little-endian length and that many bytes: one version byte and a bincode body
//! (see [`crate::codec`]). Feed bytes as they arrive, in pieces of any size; take whole frames out.

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::LENGTH_BYTES;

/// Why a stream of bytes is not a stream of frames. The connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field says more than the limit in force.
    #[error("a frame of {bytes} bytes where at most {max} are allowed")]
    TooLarge {
        /// What the length field says.
        bytes: u32,
        /// The limit in force.
        max: u32,
    },
    /// A frame must hold at least its version byte.
    #[error("an empty frame")]
    Empty,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    bytes_max: u32,
}

impl FrameDecoder {
    /// Starts empty, with the largest frame accepted, in bytes without the length field.
    #[must_use]
    pub fn new(bytes_max: u32) -> Self {
        Self {
            buffer: BytesMut::new(),
            bytes_max,
        }
    }

    /// Changes the limit for frames whose length was not read yet.
    pub const fn set_limit(&mut self, bytes_max: u32) {
        self.bytes_max = bytes_max;
    }

    /// Takes in bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer a socket may be read into directly.
    pub const fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes the next whole frame out: its version byte and body, or `None` until more arrives.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the length field is there; nothing is buffered for a frame that
    /// is too large.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_le_bytes(*head);
        if bytes == 0 {
            return Err(FrameError::Empty);
        }
        if bytes > self.bytes_max {
            return Err(FrameError::TooLarge {
                bytes,
                max: self.bytes_max,
            });
        }
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.buffer.len() - LENGTH_BYTES < length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Bytes held that are not a whole frame yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// Before Welcome nobody is known: what a stranger can make us hold stays small.
pub const FRAME_BYTES_MAX_BEFORE_WELCOME: u32 = 64 * 1024;

/// After Welcome: a batch of 1,000 audit events is the largest message (contract.md, section 2).
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_over_the_limit_is_refused_from_its_length_alone() {
        let mut decoder = FrameDecoder::new(10);
        decoder.push(&11_u32.to_le_bytes());
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::TooLarge { bytes: 11, max: 10 })
        );
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let mut decoder = FrameDecoder::new(10);
        decoder.push(&[0; 4]);
        assert_eq!(decoder.next_frame(), Err(FrameError::Empty));
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_the_stream_is_split(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..8),
            cuts in prop::collection::vec(1_usize..9, 1..80),
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                stream.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
                stream.extend_from_slice(body);
            }
            let mut decoder = FrameDecoder::new(64);
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                decoder.push(piece);
                rest = after;
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert_eq!(decoder.pending(), 0);
        }
    }
}
