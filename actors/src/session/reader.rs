//! The reading half of a session: whole frames, however the stream is cut.

use bytes::Bytes;
use provost_protocol::frame::FrameDecoder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};

/// Reads frames off one half of a stream.
pub(super) struct FrameReader<S> {
    half: ReadHalf<S>,
    decoder: FrameDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameReader<S> {
    pub(super) fn new(half: ReadHalf<S>) -> Self {
        Self {
            half,
            decoder: FrameDecoder::new(0),
        }
    }

    pub(super) fn set_limit(&mut self, bytes_max: usize) {
        self.decoder
            .set_limit(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    }

    /// The next frame; `None` at the end of the stream. May be dropped at every await.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ()> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|_| ())? {
                return Ok(Some(frame));
            }
            let buffer = self.decoder.buffer_mut();
            buffer.reserve(READ_BYTES);
            match self.half.read_buf(buffer).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }
}

/// One read: most messages are far smaller, a batch of events takes a few.
const READ_BYTES: usize = 4 * 1024;
