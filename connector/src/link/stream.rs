//! Messages in and out of one TLS stream, each within its limits.

use std::time::Duration;

use provost_certs::refused_certificate;
use provost_protocol::{
    codec,
    frame::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_WELCOME, FrameDecoder},
    wire::{ClientMessage, ServerMessage},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};

use super::LinkError;

/// What the reading task found.
pub(super) type Heard = Result<ServerMessage, LinkError>;

/// The reading task; it ends with this value.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) inbox: mpsc::Receiver<Heard>,
    task: AbortHandle,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads messages until the stream ends or breaks the rules.
pub(super) fn listen(stream: impl AsyncRead + Send + Unpin + 'static) -> Ear {
    let (heard, inbox) = mpsc::channel(HEARD_MAX);
    let task = tokio::spawn(async move {
        if let Err(error) = read(stream, &heard).await {
            drop(heard.send(Err(error)).await);
        }
    });
    Ear {
        inbox,
        task: task.abort_handle(),
    }
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), LinkError> {
    let mut frames = FrameDecoder::new(FRAME_BYTES_MAX_BEFORE_WELCOME);
    loop {
        while let Some(body) = frames.next_frame().map_err(LinkError::Frame)? {
            let message = codec::decode::<ServerMessage>(&body).map_err(LinkError::Message)?;
            if matches!(message, ServerMessage::Welcome(_)) {
                frames.set_limit(FRAME_BYTES_MAX);
            }
            if heard.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        match stream.read_buf(frames.buffer_mut()).await {
            Ok(0) => return Err(LinkError::Closed),
            Ok(_) => {}
            Err(error) if refused_certificate(&error) => return Err(LinkError::Certificate),
            Err(error) => return Err(LinkError::Stream(error)),
        }
    }
}

/// Writes one message.
pub(super) async fn say(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &ClientMessage,
) -> Result<(), LinkError> {
    let frame = codec::encode_frame(message).map_err(LinkError::Message)?;
    let written = async {
        stream.write_all(&frame).await?;
        stream.flush().await
    };
    match timeout(WRITE_MAX, written).await {
        Ok(result) => result.map_err(LinkError::Stream),
        Err(_) => Err(LinkError::Deadline {
            what: "room to write",
            ms: WRITE_MAX.as_millis(),
        }),
    }
}

/// As many answers as may be open at once; beyond, TCP tells the kernel to wait.
const HEARD_MAX: usize = 64;

/// The largest frame over a slow line; a kernel that takes nothing for longer is not there.
const WRITE_MAX: Duration = Duration::from_secs(10);
