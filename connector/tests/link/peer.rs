//! The kernel's end of one session.

use provost_certs::TlsStream;
use provost_protocol::{
    codec,
    entity::RuntimeStatus,
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    wire::{Answer, Beat, ClientMessage, Operation, Outcome, Recorded, ServerMessage},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, desired, within};

/// The kernel's end of one session.
pub(crate) struct Peer {
    /// Of the certificate that the connector showed.
    pub(crate) serial: String,
    stream: TlsStream,
    frames: FrameDecoder,
}

impl Peer {
    pub(crate) fn over(stream: TlsStream, serial: String) -> Self {
        Self {
            serial,
            stream,
            frames: FrameDecoder::new(FRAME_BYTES_MAX),
        }
    }

    pub(crate) async fn hear(&mut self) -> ClientMessage {
        loop {
            if let Some(body) = self.frames.next_frame().unwrap() {
                return codec::decode(&body).unwrap();
            }
            let read = within(self.stream.read_buf(self.frames.buffer_mut()))
                .await
                .unwrap();
            assert_ne!(read, 0, "the connector closed");
        }
    }

    pub(crate) async fn say(&mut self, message: ServerMessage) {
        self.raw(&codec::encode_frame(&message).unwrap()).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn answer(&mut self, id: u64, outcome: Outcome) {
        self.say(ServerMessage::Answer(Answer { id, outcome }))
            .await;
    }

    /// Plays the kernel until something comes that `wanted` picks; licenses have this text.
    pub(crate) async fn play<T>(
        &mut self,
        world: &World,
        license: &str,
        mut wanted: impl FnMut(&ClientMessage) -> Option<T>,
    ) -> T {
        loop {
            let message = self.hear().await;
            let found = wanted(&message);
            if let ClientMessage::Request(request) = message {
                let outcome = match request.operation {
                    Operation::Heartbeat(_) => Outcome::Beat(Beat {
                        status: RuntimeStatus::Active,
                        heartbeat_interval_ms: 30_000,
                        signed_time: world.time(),
                        desired: desired(1),
                    }),
                    Operation::PullLicense => Outcome::License(license.to_owned()),
                    Operation::Audit(events) => Outcome::Recorded(
                        events
                            .iter()
                            .map(|event| {
                                let event: serde_json::Value =
                                    serde_json::from_slice(event).unwrap();
                                let id = event["event_id"].as_str().unwrap().parse().unwrap();
                                Recorded {
                                    event_id: id,
                                    seq: 1,
                                }
                            })
                            .collect(),
                    ),
                    Operation::Checkpoint { held } => world.log.answer(world, held),
                    Operation::Renew { csr } => world.renewed(&csr),
                    Operation::TrustBundle => Outcome::TrustBundle(world.bundle()),
                    Operation::Check(_) | Operation::Resolve(_) => {
                        panic!("the kernel is asked what the connector should know")
                    }
                };
                self.answer(request.id, outcome).await;
            }
            if let Some(found) = found {
                return found;
            }
        }
    }
}
