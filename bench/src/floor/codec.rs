//! Decodes every request and encodes a ready verdict: what the wire format costs, and no rule.

use provost_protocol::{
    codec,
    entity::Mode,
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    verdict::{Limits, Reason, Verdict},
    wire::{Answer, ClientMessage, Outcome, ServerMessage},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

pub(super) async fn serve(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut frames = FrameDecoder::new(FRAME_BYTES_MAX);
    let mut out = Vec::with_capacity(READ_BYTES);
    let ready = verdict();
    loop {
        let inbox = frames.buffer_mut();
        inbox.reserve(READ_BYTES);
        if stream.read_buf(inbox).await? == 0 {
            return Ok(());
        }
        while let Some(frame) = frames.next_frame().map_err(std::io::Error::other)? {
            let message = codec::decode(&frame).map_err(std::io::Error::other)?;
            let ClientMessage::Request(request) = message else {
                return Ok(());
            };
            let answer = ServerMessage::Answer(Answer {
                id: request.id,
                outcome: Outcome::Checked(ready.clone()),
            });
            let frame = codec::encode_frame(&answer).map_err(std::io::Error::other)?;
            out.extend_from_slice(&frame);
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
        }
    }
}

/// What most checks of the world are answered.
fn verdict() -> Verdict {
    Verdict {
        allowed: true,
        reason: Reason::Entitled,
        limits: Some(Limits {
            quota: None,
            used: None,
            remaining: None,
            time_window: None,
            resets_at: None,
            mode: Mode::Enforce,
        }),
    }
}

/// As the daemon reads.
const READ_BYTES: usize = 4 * 1024;
