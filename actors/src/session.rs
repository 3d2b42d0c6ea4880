//! One connection of frames: bytes in, answers and directives out.
//!
//! What may be said when is decided by [`provost_kernel::session::Session`]; here are the stream,
//! the deadlines and the answers under way. A session lives on its tenant's arbiter, over whatever
//! stream it is given, and ends as a whole: nothing of it survives.

mod interests;
mod opening;
mod outgoing;
mod pace;
mod reader;
mod wake;

use std::{net::SocketAddr, panic::AssertUnwindSafe, rc::Rc};

use futures_util::FutureExt;
use provost_kernel::{
    liveness::grace_ms,
    session::{Effect, Ending, Input, Session},
};
use provost_protocol::{
    Code, ContractVersion, Problem, TenantId, codec,
    envelope::Source,
    sign::PeerIdentity,
    wire::{Answer, ClientMessage, DesiredState, Goodbye, Hello, Outcome, Request, ServerMessage},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadHalf},
    sync::{mpsc, watch},
};

use self::{
    interests::Interests, outgoing::Outgoing, pace::Pace, reader::FrameReader, wake::Event,
};
use crate::{
    Gateway, Known, Opened, Peer,
    budget::{CHECK, cost},
};

/// What a session needs besides its stream.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// The calls.
    pub gateway: Gateway,
    /// Who is at the other end.
    pub identity: PeerIdentity,
    /// From where.
    pub address: SocketAddr,
    /// Becomes true when the kernel stops.
    pub draining: watch::Receiver<bool>,
}

/// Serves one connection until it ends; says why it did.
///
/// Must run inside a `LocalSet` or an arbiter.
pub async fn serve<S>(stream: S, settings: SessionSettings) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let (answers, answered) = mpsc::channel(ANSWERS_MAX);
    let now = settings.gateway.directory().house().clock.now();
    let budget = settings
        .gateway
        .budgets()
        .connection(settings.identity.tenant);
    let mut life = Life {
        pace: Pace::new(budget),
        machine: Session::new(0, 0, now),
        outgoing: Outgoing::new(write),
        interests: None,
        opened: None,
        peer: Rc::new(Peer {
            identity: settings.identity.clone(),
            address: settings.address,
            version: ContractVersion::V0_2,
            source: Source::Connector,
        }),
        answers,
        settings,
        told_to_drain: false,
        after_welcome: Vec::new(),
    };
    let ending = life.run(read, answered).await;
    life.finish(ending).await
}

/// One session's parts while it lives.
struct Life<S> {
    pace: Pace,
    machine: Session,
    outgoing: Outgoing<S>,
    interests: Option<Interests>,
    opened: Option<(Opened, Known)>,
    peer: Rc<Peer>,
    answers: mpsc::Sender<Answer>,
    settings: SessionSettings,
    /// The kernel's stop is told once.
    told_to_drain: bool,
    /// Desired states that found no room in Welcome.
    after_welcome: Vec<DesiredState>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    async fn run(&mut self, read: ReadHalf<S>, mut answered: mpsc::Receiver<Answer>) -> Ending {
        let mut reader = FrameReader::new(read);
        loop {
            reader.set_limit(self.machine.frame_bytes_max());
            let event = self.next(&mut reader, &mut answered).await;
            let ending = match event {
                Event::Frame(Ok(Some(frame))) => {
                    let ending = self.on_frame(&frame).await;
                    self.pace.turn().await;
                    ending
                }
                Event::Frame(Ok(None)) => Some(Ending::Goodbye),
                Event::Frame(Err(())) => self.act(&Input::Garbage).await,
                Event::Answer(answer) => {
                    let over = ends_the_session(&answer);
                    self.bear(&answer);
                    self.outgoing.send(&ServerMessage::Answer(answer)).await;
                    self.act(if over {
                        &Input::Revoked
                    } else {
                        &Input::Answered
                    })
                    .await
                }
                Event::Revised(tenant) => self.on_revised(tenant).await,
                Event::Replaced => self.act(&Input::Replaced).await,
                Event::Drain => {
                    self.told_to_drain = true;
                    self.act(&Input::Drain).await
                }
                Event::Tick => self.act(&Input::Tick).await,
            };
            if let Some(ending) = ending {
                return ending;
            }
            if self.outgoing.is_broken() {
                return Ending::Idle;
            }
        }
    }

    /// Who was told to beat later is borne for longer.
    fn bear(&mut self, answer: &Answer) {
        if let Outcome::Beat(beat) = &answer.outcome {
            let now = self.settings.gateway.directory().house().clock.now();
            self.machine
                .set_grace(grace_ms(beat.heartbeat_interval_ms), now);
        }
    }

    async fn on_frame(&mut self, frame: &[u8]) -> Option<Ending> {
        match codec::decode::<ClientMessage>(frame) {
            Err(_) => self.act(&Input::Garbage).await,
            Ok(ClientMessage::Hello(hello)) => self.on_hello(hello).await,
            Ok(ClientMessage::Request(request)) => self.on_request(request).await,
            Ok(ClientMessage::Confirm(confirm)) => {
                // It has no answer: beyond the budget it is what makes reading rest.
                let _ = self.pace.admit(CHECK);
                let ending = self.act(&Input::Confirm).await;
                if ending.is_none() {
                    let refused = self
                        .settings
                        .gateway
                        .confirm(&self.peer, confirm)
                        .await
                        .err();
                    if let Some(problem) = refused {
                        tracing::debug!(code = %problem.code, "a confirmation was refused");
                    }
                }
                ending
            }
            Ok(ClientMessage::Trusts(trusts)) => {
                let _ = self.pace.admit(CHECK);
                let ending = self.act(&Input::Confirm).await;
                if ending.is_none() {
                    let refused = self.settings.gateway.trusts(&self.peer, trusts).await.err();
                    if let Some(problem) = refused {
                        tracing::debug!(code = %problem.code, "a word on trust was refused");
                    }
                }
                ending
            }
            Ok(ClientMessage::Goodbye(_)) => self.act(&Input::Goodbye).await,
        }
    }

    /// Registers what Hello says, then welcomes; refused, the connection ends with the reason.
    async fn on_hello(&mut self, hello: Hello) -> Option<Ending> {
        let spoken = ContractVersion::negotiate(&hello.versions);
        let Some(version) = spoken.filter(|_| self.opened.is_none()) else {
            return self.act(&Input::Hello(&hello.versions)).await;
        };
        match self.open(&hello, version).await {
            Ok(welcome) => {
                let ending = self.act(&Input::Hello(&hello.versions)).await;
                if ending.is_none() {
                    self.outgoing.send(&ServerMessage::Welcome(welcome)).await;
                    for state in std::mem::take(&mut self.after_welcome) {
                        self.outgoing.send(&ServerMessage::Directive(state)).await;
                    }
                }
                ending
            }
            Err(mut problem) => {
                // Those who are refused at one moment do not come back at one moment.
                let told = problem.retry_after_ms.as_mut();
                if let Some(told) = told {
                    *told = self.pace.come_back_ms().max(*told);
                }
                self.outgoing.send(&ServerMessage::Refused(problem)).await;
                Some(Ending::Violation)
            }
        }
    }

    async fn on_request(&mut self, request: Request) -> Option<Ending> {
        // Before any mailbox. No budget is used up before Hello: a request out of turn stays one.
        if let Err(problem) = self.pace.admit(cost(&request.operation)) {
            let outcome = Outcome::Refused(problem.correlated(request.correlation_id));
            let answer = Answer {
                id: request.id,
                outcome,
            };
            self.outgoing.send(&ServerMessage::Answer(answer)).await;
            return None;
        }
        let effects = self.handle(&Input::Request { id: request.id });
        for effect in effects {
            match effect {
                Effect::Serve { .. } => self.serve_request(request.clone()),
                other => {
                    if let Some(ending) = self.perform(other).await {
                        return Some(ending);
                    }
                }
            }
        }
        None
    }

    /// Answers come in the order in which they are ready, not in which they were asked.
    fn serve_request(&mut self, request: Request) {
        if let Some(interests) = &mut self.interests {
            interests.want(request.tenant);
        }
        let (gateway, peer) = (self.settings.gateway.clone(), Rc::clone(&self.peer));
        let answers = self.answers.clone();
        drop(actix::spawn(async move {
            let Request {
                id,
                correlation_id,
                tenant,
                operation,
            } = request;
            let call = gateway.call(&peer, tenant, correlation_id, operation);
            // Every request is answered, or its place would be taken for as long as the session.
            let outcome = AssertUnwindSafe(call).catch_unwind().await;
            let outcome = outcome
                .unwrap_or_else(|_| Err(Problem::new(Code::Internal, "the call failed")))
                .unwrap_or_else(|problem| Outcome::Refused(problem.correlated(correlation_id)));
            let _ = answers.send(Answer { id, outcome }).await;
        }));
    }

    async fn on_revised(&mut self, tenant: TenantId) -> Option<Ending> {
        let known = match self.settings.gateway.known(&self.peer.identity).await {
            Ok(known) => known,
            Err(problem) if problem.code == Code::RuntimeRevoked => {
                return self.act(&Input::Revoked).await;
            }
            // Whoever comes back is judged by the handshake.
            Err(problem) if problem.code == Code::CertificateRefused => {
                self.outgoing.send(&ServerMessage::Refused(problem)).await;
                return Some(Ending::Revoked);
            }
            // The tenant is being rebuilt: looked at again, so that the revision is not missed.
            Err(_) => {
                if let Some(interests) = &mut self.interests {
                    interests.again(tenant);
                }
                return None;
            }
        };
        let interests = self.interests.as_mut()?;
        if let Some(state) = interests.news(&known, tenant).await {
            self.outgoing.send(&ServerMessage::Directive(state)).await;
        }
        None
    }

    async fn act(&mut self, input: &Input<'_>) -> Option<Ending> {
        for effect in self.handle(input) {
            if let Some(ending) = self.perform(effect).await {
                return Some(ending);
            }
        }
        None
    }

    fn handle(&mut self, input: &Input<'_>) -> Vec<Effect> {
        let now = self.settings.gateway.directory().house().clock.now();
        self.machine.handle(input, now)
    }

    async fn perform(&mut self, effect: Effect) -> Option<Ending> {
        match effect {
            // Welcome itself is sent by whoever opened the session; the rest needs no word.
            Effect::Welcome { .. } | Effect::Serve { .. } | Effect::Confirm => None,
            Effect::Refuse { id, code } => {
                let problem =
                    Problem::new(code, "the request was not taken").retry_after_ms(RETRY_MS);
                let outcome = Outcome::Refused(problem);
                self.outgoing
                    .send(&ServerMessage::Answer(Answer { id, outcome }))
                    .await;
                None
            }
            Effect::SayGoodbye => {
                let goodbye = Goodbye {
                    reason: "the kernel stops".to_owned(),
                    retry_after_ms: self.pace.come_back_ms(),
                };
                self.outgoing.send(&ServerMessage::Goodbye(goodbye)).await;
                None
            }
            Effect::Reject(code) => {
                let mut problem = Problem::new(code, "the connection ends");
                if code == Code::Draining {
                    problem = problem.retry_after_ms(self.pace.come_back_ms());
                }
                self.outgoing.send(&ServerMessage::Refused(problem)).await;
                None
            }
            Effect::Close(ending) => Some(ending),
        }
    }

    /// The one place where a session ends.
    async fn finish(mut self, ending: Ending) -> Ending {
        if let Some((opened, known)) = self.opened.take() {
            known.runtime.closed(opened.generation);
        }
        self.outgoing.close().await;
        tracing::debug!(?ending, "session ended");
        ending
    }
}

/// Every request in flight may be answered at once, and no answer waits for another.
const ANSWERS_MAX: usize = 64;

/// One of those in flight is answered within it.
const RETRY_MS: u64 = 1_000;

/// Whose certificate or runtime is refused now is refused whatever it asks next.
fn ends_the_session(answer: &Answer) -> bool {
    let refused = [Code::RuntimeRevoked, Code::CertificateRefused];
    matches!(&answer.outcome, Outcome::Refused(problem) if refused.contains(&problem.code))
}
