//! The stream of frames, in pieces of any size.

use provost_protocol::frame::FrameDecoder;

/// Feeds a stream in pieces whose size the first byte chooses; all that comes out was in it.
pub fn target(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let mut taken = Vec::new();
    for piece in stream.chunks(usize::from(size).max(1)) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    assert!(u32::try_from(frame.len()).is_ok_and(|bytes| bytes <= FRAME_BYTES_MAX));
                    let length = u32::try_from(frame.len()).expect("checked above");
                    taken.extend_from_slice(&length.to_le_bytes());
                    taken.extend_from_slice(&frame);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(taken.len() + decoder.pending() <= stream.len());
    }
    assert_eq!(taken, stream[..taken.len()]);
}

/// What is allowed before Welcome.
const FRAME_BYTES_MAX: u32 = 64 * 1_024;
