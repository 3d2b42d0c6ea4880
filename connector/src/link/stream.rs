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
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::LinkError;

/// What the reading task found.
pub(super) type Heard = Result<ServerMessage, LinkError>;

/// The reading task; it ends with this value.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) inbox: mpsc::Receiver<Heard>,
    /// When the last bytes came of a message of which more are to come, or of one that was long in
    /// coming: what it kept waiting stands behind it.
    slow: watch::Receiver<Option<Instant>>,
    task: AbortHandle,
}

impl Ear {
    /// Until when an answer is waited for that was due then: over a narrow line a large one takes
    /// longer to come than the kernel to give it.
    pub(super) fn bears(&self, due: Instant) -> Instant {
        let at_last = due + LARGE_ANSWER_MAX;
        let slow = *self.slow.borrow();
        slow.map_or(due, |came| (came + STALLED_MAX).clamp(due, at_last))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads messages until the stream ends or breaks the rules.
pub(super) fn listen(stream: impl AsyncRead + Send + Unpin + 'static) -> Ear {
    let (heard, inbox) = mpsc::channel(HEARD_MAX);
    let (slowness, slow) = watch::channel(None);
    let task = tokio::spawn(async move {
        if let Err(error) = read(stream, &heard, &slowness).await {
            drop(heard.send(Err(error)).await);
        }
    });
    Ear {
        inbox,
        slow,
        task: task.abort_handle(),
    }
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    heard: &mpsc::Sender<Heard>,
    slowness: &watch::Sender<Option<Instant>>,
) -> Result<(), LinkError> {
    let mut frames = FrameDecoder::new(FRAME_BYTES_MAX_BEFORE_WELCOME);
    let (mut began, mut slow) = (None, None);
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
        let now = Instant::now();
        if frames.pending() > 0 {
            began.get_or_insert(now);
            slowness.send_replace(Some(now));
        } else if let Some(began) = began.take() {
            if now.duration_since(began) >= SLOW {
                slow = Some(now);
            }
            slowness.send_replace(slow);
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

/// A kernel that sends nothing of an answer that has begun for so long is not there.
const STALLED_MAX: Duration = Duration::from_secs(10);

/// A message that takes longer to come keeps others waiting noticeably.
const SLOW: Duration = Duration::from_secs(1);

/// Besides the time for any answer: the largest license over a line of 32 kbit/s.
const LARGE_ANSWER_MAX: Duration = Duration::from_secs(80);

#[cfg(test)]
mod tests {
    use provost_protocol::wire::Goodbye;
    use tokio::time::advance;

    use super::*;

    fn goodbye() -> ServerMessage {
        ServerMessage::Goodbye(Goodbye {
            reason: "the kernel stops".to_owned(),
            retry_after_ms: 1,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_coming_is_waited_for_as_long_as_it_comes_and_not_for_ever() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut ear = listen(near);
        let goodbye = goodbye();
        let frame = codec::encode_frame(&goodbye).unwrap();
        let due = Instant::now();
        assert_eq!(ear.bears(due), due, "nothing of it has come");

        far.write_all(&frame[..9]).await.unwrap();
        ear.slow.wait_for(Option::is_some).await.unwrap();
        assert_eq!(ear.bears(due), due + STALLED_MAX);
        advance(Duration::from_secs(75)).await;
        far.write_all(&frame[9..10]).await.unwrap();
        let lately = |slow: &Option<Instant>| slow.is_some_and(|at| at > due);
        ear.slow.wait_for(lately).await.unwrap();
        assert_eq!(ear.bears(due), due + LARGE_ANSWER_MAX);

        far.write_all(&frame[10..]).await.unwrap();
        assert_eq!(ear.inbox.recv().await.unwrap().unwrap(), goodbye);
        let now = Instant::now();
        let due = now - Duration::from_secs(1);
        assert_eq!(ear.bears(due), now + STALLED_MAX, "it stood behind that");
        let asked_now = now + STALLED_MAX;
        assert_eq!(ear.bears(asked_now), asked_now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_comes_in_two_pieces_at_once_makes_nobody_wait_longer() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut ear = listen(near);
        let frame = codec::encode_frame(&goodbye()).unwrap();
        far.write_all(&frame[..9]).await.unwrap();
        ear.slow.wait_for(Option::is_some).await.unwrap();
        far.write_all(&frame[9..]).await.unwrap();
        ear.slow.wait_for(Option::is_none).await.unwrap();
        let due = Instant::now();
        assert_eq!(ear.bears(due), due);
    }
}
