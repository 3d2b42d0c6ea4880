//! One session: Hello, Welcome, then requests, answers and directives until it ends.

use std::{sync::Arc, time::Duration};

use provost_certs::ClientStream;
use provost_protocol::{
    Code, ContractVersion, CorrelationId,
    frame::FRAME_BYTES_MAX,
    wire::{
        Answer, ClientMessage, Goodbye, Heartbeat, Operation, Outcome, Request, ServerMessage,
        Welcome,
    },
};
use tokio::{
    io::WriteHalf,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    LinkError, LinkState, Order,
    pending::{ANSWER_MAX, Pending, Waiter},
    stream::{self, Ear},
};
use crate::{
    clock::chance,
    core::{Core, News},
};

/// How a session ended without a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The connector stops.
    Stopped,
    /// What the runtime says of itself has changed: a new Hello is due.
    Again,
    /// The kernel closed it.
    Goodbye {
        /// When to come back.
        retry_after: Duration,
    },
}

/// Where the session stands towards a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// It shows the one in use.
    None,
    /// There is another: after the next answered beat the session begins anew, so that no beat is
    /// missed.
    Waits,
    /// What was asked is still answered, then it begins anew.
    Drains,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session<'a> {
    core: &'a Arc<Core>,
    ear: Ear,
    mouth: WriteHalf<ClientStream>,
    pending: Pending,
    in_flight_max: usize,
    beat_at: Instant,
    goodbye: Option<Duration>,
    renewal: Renewal,
    /// Version and capabilities, as Hello said them.
    said: (String, Vec<String>),
}

impl Renewal {
    const fn or_waits(self) -> Self {
        match self {
            Self::None | Self::Waits => Self::Waits,
            Self::Drains => Self::Drains,
        }
    }

    const fn after_a_beat(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Waits | Self::Drains => Self::Drains,
        }
    }
}

impl<'a> Session<'a> {
    /// Says Hello and takes in Welcome.
    pub(super) async fn open(core: &'a Arc<Core>, stream: ClientStream) -> Result<Self, LinkError> {
        let (reading, mut mouth) = tokio::io::split(stream);
        let mut ear = stream::listen(reading);
        let hello = core.hello();
        let said = (hello.version.clone(), hello.capabilities.clone());
        stream::say(&mut mouth, &ClientMessage::Hello(hello)).await?;
        let first =
            timeout(WELCOME_MAX, ear.inbox.recv())
                .await
                .map_err(|_| LinkError::Deadline {
                    what: "Welcome",
                    ms: WELCOME_MAX.as_millis(),
                })?;
        let welcome = match first.ok_or(LinkError::Closed)?? {
            ServerMessage::Welcome(welcome) => welcome,
            ServerMessage::Refused(problem) => return Err(LinkError::Refused(problem)),
            ServerMessage::Goodbye(_) => return Err(LinkError::Closed),
            ServerMessage::Answer(_) => return Err(LinkError::OutOfTurn { what: "an answer" }),
            ServerMessage::Directive(_) => {
                return Err(LinkError::OutOfTurn {
                    what: "a directive",
                });
            }
        };
        if welcome.version.parse::<ContractVersion>().is_err() {
            return Err(LinkError::OutOfTurn {
                what: "an unknown version",
            });
        }
        let allowed = usize::try_from(welcome.in_flight_max).unwrap_or(usize::MAX);
        let session = Self {
            core,
            ear,
            mouth,
            pending: Pending::default(),
            in_flight_max: allowed.clamp(1, IN_FLIGHT_MOST),
            // The first beat makes a registered runtime active; dialling was spread already.
            beat_at: Instant::now(),
            goodbye: None,
            renewal: Renewal::None,
            said,
        };
        session.welcome(welcome).await?;
        Ok(session)
    }

    /// Serves until it ends, and then leaves nobody waiting.
    pub(super) async fn serve(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Ended, LinkError> {
        let ended = self.turn(orders, stop).await;
        self.pending.fail();
        match ended {
            Err(error) => self
                .goodbye
                .map_or(Err(error), |retry_after| Ok(Ended::Goodbye { retry_after })),
            ended => ended,
        }
    }

    async fn turn(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Ended, LinkError> {
        let core = self.core;
        loop {
            if let Some(retry_after) = self.goodbye.filter(|_| self.pending.len() == 0) {
                return Ok(Ended::Goodbye { retry_after });
            }
            if self.renewal == Renewal::Drains && self.pending.len() == 0 {
                self.leave("the runtime shows a new certificate").await;
                return Ok(Ended::Again);
            }
            let asking = self.goodbye.is_none()
                && self.renewal != Renewal::Drains
                && self.pending.len() < self.in_flight_max;
            let due = self.pending.deadline();
            let late = due.map(|due| self.ear.bears(due));
            tokio::select! {
                biased;
                () = super::dial::stopped(stop) => {
                    self.leave("the connector stops").await;
                    return Ok(Ended::Stopped);
                }
                () = core.identity.renewed.notified() => {
                    self.renewal = self.renewal.or_waits();
                }
                () = core.facts_changed.notified() => {
                    let hello = core.hello();
                    if self.said == (hello.version, hello.capabilities) {
                        continue;
                    }
                    self.leave("the runtime registered with other facts").await;
                    return Ok(Ended::Again);
                }
                heard = self.ear.inbox.recv() => {
                    self.hear(heard.ok_or(LinkError::Closed)??).await?;
                }
                () = sleep_until(late.unwrap_or(self.beat_at)), if late.is_some() => {
                    // More of it may have come meanwhile.
                    if due.map(|due| self.ear.bears(due)) > late {
                        continue;
                    }
                    return Err(LinkError::Deadline {
                        what: "answer", ms: ANSWER_MAX.as_millis(),
                    });
                }
                () = core.confirm.notified() => self.confirm().await?,
                () = sleep_until(self.beat_at), if asking => self.beat().await?,
                Some(order) = orders.recv(), if asking => self.ask(order).await?,
            }
        }
    }

    async fn welcome(&self, welcome: Welcome) -> Result<(), LinkError> {
        info!(session.generation = welcome.generation, version = %welcome.version,
            status = %welcome.status, "connected to the kernel");
        let generation = welcome.generation;
        self.tell(News::Time(welcome.signed_time)).await?;
        self.tell(News::Session {
            generation,
            status: welcome.status,
            policies: welcome.policies.into(),
        })
        .await?;
        for desired in welcome.desired {
            self.tell(News::Desired(desired)).await?;
        }
        // In force before anybody is answered under the new session.
        self.core.taken_in().await;
        self.core.link.send_replace(LinkState::Up { generation });
        // What the last stream took along is confirmed again.
        self.core.confirm.notify_one();
        Ok(())
    }

    async fn hear(&mut self, message: ServerMessage) -> Result<(), LinkError> {
        match message {
            ServerMessage::Answer(answer) => self.answered(answer).await,
            ServerMessage::Directive(desired) => {
                info!(tenant.id = %desired.tenant, revision = desired.revision,
                    tenant.status = %desired.tenant_status,
                    runtime.status = %desired.runtime_status,
                    killed = desired.killed, "directive");
                self.tell(News::Desired(desired)).await
            }
            ServerMessage::Goodbye(goodbye) => {
                debug!(reason = %goodbye.reason, "the kernel is about to close");
                let retry = Duration::from_millis(goodbye.retry_after_ms).min(RETRY_AFTER_MAX);
                self.goodbye = Some(retry);
                Ok(())
            }
            ServerMessage::Refused(problem) if problem.code == Code::CertificateRefused => {
                Err(LinkError::Certificate)
            }
            ServerMessage::Refused(problem) => Err(LinkError::Refused(problem)),
            ServerMessage::Welcome(_) => Err(LinkError::OutOfTurn {
                what: "a second Welcome",
            }),
        }
    }

    async fn answered(&mut self, answer: Answer) -> Result<(), LinkError> {
        match self.pending.close(answer.id) {
            None => Err(LinkError::OutOfTurn {
                what: "an answer to nothing",
            }),
            Some(Waiter::Call(reply)) => {
                if let Outcome::Beat(beat) = &answer.outcome {
                    self.core.beaten();
                    self.tell(News::Time(beat.signed_time.clone())).await?;
                    self.tell(News::Desired(beat.desired.clone())).await?;
                    self.tell(News::Status(beat.status)).await?;
                    self.core.taken_in().await;
                }
                drop(reply.send(Ok(answer.outcome)));
                Ok(())
            }
            Some(Waiter::Beat) => match answer.outcome {
                Outcome::Beat(beat) => {
                    self.core.beaten();
                    self.renewal = self.renewal.after_a_beat();
                    self.rest(beat.heartbeat_interval_ms);
                    self.tell(News::Time(beat.signed_time)).await?;
                    self.tell(News::Desired(beat.desired)).await?;
                    self.tell(News::Status(beat.status)).await
                }
                // It ended while the session stood: it is renewed no more, but recovered.
                Outcome::Refused(problem) if problem.code == Code::CertificateRefused => {
                    Err(LinkError::Certificate)
                }
                Outcome::Refused(problem) => {
                    warn!(code = %problem.code, detail = %problem.detail, "a heartbeat was refused");
                    self.rest(problem.retry_after_ms.unwrap_or(BEAT_REFUSED_MS));
                    Ok(())
                }
                _ => Err(LinkError::OutOfTurn {
                    what: "another answer than a beat",
                }),
            },
        }
    }

    async fn ask(&mut self, order: Order) -> Result<(), LinkError> {
        let Order {
            tenant,
            correlation,
            operation,
            reply,
        } = order;
        let id = self.pending.open(Waiter::Call(reply));
        let request = Request {
            id,
            correlation_id: correlation,
            tenant,
            operation,
        };
        self.say(ClientMessage::Request(request)).await
    }

    async fn beat(&mut self) -> Result<(), LinkError> {
        let id = self.pending.open(Waiter::Beat);
        let (health, metrics) = self.core.pulse();
        let request = Request {
            id,
            correlation_id: CorrelationId::from_parts(self.core.floor.local(), chance()),
            tenant: self.core.me.tenant,
            operation: Operation::Heartbeat(Heartbeat {
                health,
                metrics: metrics.into(),
            }),
        };
        // Set anew by the answer; an answer that does not come ends the session before.
        self.beat_at = Instant::now() + BEAT_MOST;
        self.say(ClientMessage::Request(request)).await
    }

    async fn confirm(&mut self) -> Result<(), LinkError> {
        for confirm in self.core.tenants.take_confirmations(self.core.me.tenant) {
            self.say(ClientMessage::Confirm(confirm)).await?;
        }
        if let Some(trusts) = self.core.trust.take_word() {
            self.say(ClientMessage::Trusts(trusts)).await?;
        }
        Ok(())
    }

    fn rest(&mut self, interval_ms: u64) {
        let interval = Duration::from_millis(interval_ms).clamp(BEAT_LEAST, BEAT_MOST);
        // A tenth either way is the kernel's to bear: it counts a beat as late at one and a half.
        let spread = interval.mul_f64(0.9) + crate::clock::up_to(interval.mul_f64(0.1));
        self.beat_at = Instant::now() + spread;
    }

    async fn say(&mut self, message: ClientMessage) -> Result<(), LinkError> {
        stream::say(&mut self.mouth, &message).await
    }

    async fn tell(&self, news: News) -> Result<(), LinkError> {
        match timeout(NEWS_MAX, self.core.news.send(news)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LinkError::Overrun),
        }
    }

    async fn leave(&mut self, reason: &str) {
        let goodbye = Goodbye {
            reason: reason.to_owned(),
            retry_after_ms: 0,
        };
        // A farewell that does not arrive is no loss.
        if let Err(error) = self.say(ClientMessage::Goodbye(goodbye)).await {
            debug!(%error, "no goodbye could be said");
        }
    }
}

/// Hello costs the kernel at most one write.
const WELCOME_MAX: Duration = Duration::from_secs(10);

/// What the kernel allows is believed up to here: the callers' queue holds no more.
const IN_FLIGHT_MOST: usize = 128;

/// A frame of the contract's largest size is never exceeded by what we batch.
const _: () = assert!(FRAME_BYTES_MAX >= 1024 * 1024);

/// Below this an interval is a fault, and a fleet that obeyed it an attack.
const BEAT_LEAST: Duration = Duration::from_millis(500);

/// Above this a runtime would seem lost to any kernel.
const BEAT_MOST: Duration = Duration::from_secs(600);

/// A beat that was refused is tried again at about the base rhythm.
const BEAT_REFUSED_MS: u64 = 15_000;

/// A kernel that asks for more is believed up to ten minutes.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// One write and sync of a small file takes milliseconds; the queue holds hundreds.
const NEWS_MAX: Duration = Duration::from_secs(30);
