//! The writing half of a session: a frame at a time, never longer than a peer may take.

use std::time::Duration;

use provost_protocol::{codec, wire::ServerMessage};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, WriteHalf},
    time::timeout,
};

/// The writing half.
pub(super) struct Outgoing<S> {
    half: WriteHalf<S>,
    broken: bool,
}

impl<S: AsyncWrite + Unpin> Outgoing<S> {
    pub(super) const fn new(half: WriteHalf<S>) -> Self {
        Self {
            half,
            broken: false,
        }
    }

    /// Sends a message; a peer that does not read breaks the session.
    pub(super) async fn send(&mut self, message: &ServerMessage) {
        if self.broken {
            return;
        }
        let Ok(frame) = codec::encode_frame(message) else {
            tracing::error!("a message could not be encoded");
            self.broken = true;
            return;
        };
        let write = async {
            self.half.write_all(&frame).await?;
            self.half.flush().await
        };
        self.broken = !matches!(timeout(WRITE_WITHIN, write).await, Ok(Ok(())));
    }

    /// Whether nothing can be sent any more.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Says that nothing more comes.
    pub(super) async fn close(&mut self) {
        let _ = timeout(WRITE_WITHIN, self.half.shutdown()).await;
    }
}

/// A peer that takes nothing for ten seconds is gone, or means harm.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
