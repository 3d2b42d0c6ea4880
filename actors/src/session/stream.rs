//! The stream of a session: whole frames in, however they are cut, and answers out, those that are
//! ready together in one write.
//!
//! Idle, it holds no buffer of its own: ten thousand connections mostly wait.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use provost_protocol::{codec, frame::FrameDecoder, wire::ServerMessage};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};

/// The stream of a session.
pub(super) struct FrameStream<S> {
    stream: S,
    decoder: FrameDecoder,
    /// Frames that wait to be written, and how many bytes of them are.
    out: Vec<u8>,
    written: usize,
    broken: bool,
    /// Broken by a message of ours that could not be encoded.
    faulty: bool,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Bytes; maybe whole frames.
    Bytes,
    /// The end, or an error, which is one.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(0),
            out: Vec::new(),
            written: 0,
            broken: false,
            faulty: false,
        }
    }

    pub(super) fn set_limit(&mut self, bytes_max: usize) {
        self.decoder
            .set_limit(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    }

    /// The next whole frame that has come; an error is the end of the connection.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, ()> {
        self.decoder.next_frame().map_err(|_| ())
    }

    /// Reads once.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        let outcome = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        if outcome.is_pending() && self.decoder.pending() == 0 {
            // Whoever waits for nothing half read may wait for long.
            *self.decoder.buffer_mut() = bytes::BytesMut::new();
        }
        let came = ready!(outcome);
        if came.is_err() || read.filled().is_empty() {
            return Poll::Ready(Came::End);
        }
        self.decoder.push(read.filled());
        Poll::Ready(Came::Bytes)
    }

    /// Puts a message behind those that wait to be written.
    pub(super) fn push(&mut self, message: &ServerMessage) {
        if self.broken {
            return;
        }
        if self.out.capacity() == 0 {
            self.out.reserve(OUT_BYTES_FIRST);
        }
        if codec::encode_frame_into(&mut self.out, message).is_err() {
            self.broken = true;
            self.faulty = true;
        }
    }

    /// Whether enough waits to be worth a write of its own.
    pub(super) const fn is_full(&self) -> bool {
        self.out.len() >= OUT_BYTES
    }

    /// Writes all that waits; a peer that takes none of it for too long breaks the session. Says
    /// whether it was written without waiting for the peer.
    pub(super) async fn flush(&mut self) -> bool {
        if self.out.is_empty() || self.broken {
            return true;
        }
        // Hardly ever needed, and a timer for each write costs more than the write's own work.
        let mut stalled: Option<Stalled> = None;
        let outcome = std::future::poll_fn(|cx| {
            let polled = self.poll_write(cx);
            if polled.is_ready() {
                return polled;
            }
            let stalled = stalled.get_or_insert_with(|| Stalled::at(self.written));
            stalled.went_on(self.written);
            let over = stalled.over.as_mut().poll(cx);
            over.map(|()| Err(io::ErrorKind::TimedOut.into()))
        });
        self.broken = outcome.await.is_err();
        self.out = Vec::new();
        self.written = 0;
        stalled.is_none()
    }

    /// Whether nothing can be sent any more.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether that is so because a message of ours could not be encoded.
    pub(super) const fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// Sends what waits, and says that nothing more comes.
    pub(super) async fn close(&mut self) {
        self.flush().await;
        let _ = timeout(WRITE_WITHIN, self.stream.shutdown()).await;
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

/// A write that waits for its peer.
struct Stalled {
    over: Pin<Box<Sleep>>,
    /// However much the peer takes meanwhile.
    at_last: Instant,
    written: usize,
}

impl Stalled {
    fn at(written: usize) -> Self {
        Self {
            over: Box::pin(sleep(WRITE_WITHIN)),
            at_last: Instant::now() + WRITE_ALL_WITHIN,
            written,
        }
    }

    fn went_on(&mut self, written: usize) {
        if written != self.written {
            self.written = written;
            let next = (Instant::now() + WRITE_WITHIN).min(self.at_last);
            self.over.as_mut().reset(next);
        }
    }
}

/// One read: a TLS record at most. Most messages are far smaller, a batch of events takes a few.
const READ_BYTES: usize = 16 * 1024;

/// What one write holds at most, and one answer more: beyond a few TLS records nothing is saved by
/// waiting for more.
const OUT_BYTES: usize = 64 * 1024;

/// Room for the answer to a heartbeat, or for a dozen verdicts.
const OUT_BYTES_FIRST: usize = 512;

/// A peer that takes nothing for ten seconds is gone, or means harm.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The largest license, behind other answers, over a line of 32 kbit/s.
const WRITE_ALL_WITHIN: Duration = Duration::from_secs(90);
