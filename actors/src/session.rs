//! One connection of frames: bytes in, answers and directives out.
//!
//! What may be said when is decided by [`provost_kernel::session::Session`]; here are the stream,
//! the deadlines and the answers under way. A session lives on its tenant's arbiter, over whatever
//! stream it is given, and ends as a whole: nothing of it survives. Most wait most of the time:
//! what is rare is made when it comes, and does not wait with them.

mod courtesy;
mod interests;
mod opening;
mod pace;
mod requests;
mod stream;
mod taking;
mod wake;

use std::{net::SocketAddr, rc::Rc};

use provost_kernel::session::{Effect, Ending, Input, Session};
use provost_protocol::{
    Code, ContractVersion, Problem, TenantId, Timestamp,
    envelope::Source,
    sign::PeerIdentity,
    wire::{Answer, ClientMessage, DesiredState, Goodbye, Hello, Outcome, ServerMessage},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};
use tracing::{Instrument as _, Span};

use self::{
    courtesy::give_way,
    interests::Interests,
    pace::Pace,
    stream::{Came, FrameStream},
    taking::Taken,
    wake::{Event, Inbox, Sources},
};
use crate::{Gateway, Kept, Peer, clock::millis};

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
pub fn serve<S>(stream: S, settings: SessionSettings) -> impl Future<Output = Ending>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // Made before the future is, which holds it and no copy of what it was made from.
    let budget = settings
        .gateway
        .budgets()
        .connection(settings.identity.tenant);
    let mut life = Box::new(Life {
        pace: Pace::new(budget),
        began: Instant::now(),
        machine: Session::new(0, 0, Timestamp::EPOCH),
        stream: FrameStream::new(stream),
        sources: Sources::new(settings.draining),
        interests: None,
        opened: None,
        peer: Rc::new(Peer {
            identity: settings.identity,
            address: settings.address,
            version: ContractVersion::V0_2,
            source: Source::Connector,
        }),
        gateway: settings.gateway,
        after_welcome: Vec::new(),
    });
    async move {
        let ending = life.run().await;
        life.finish(ending).await
    }
}

/// One session's parts while it lives.
struct Life<S> {
    pace: Pace,
    /// The machine's time is counted from here: no clock that is set makes a silence long or short.
    began: Instant,
    machine: Session,
    stream: FrameStream<S>,
    sources: Sources,
    interests: Option<Interests>,
    opened: Option<Opened>,
    peer: Rc<Peer>,
    gateway: Gateway,
    /// Desired states that found no room in Welcome.
    after_welcome: Vec<DesiredState>,
}

/// What there is from Welcome on.
struct Opened {
    generation: u64,
    kept: Kept,
}

impl<S> Life<S> {
    /// The machine's time at an instant: milliseconds since the connection began.
    fn lived(&self, at: Instant) -> Timestamp {
        Timestamp::EPOCH.plus_millis(millis(at.duration_since(self.began)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    async fn run(&mut self) -> Ending {
        loop {
            let taken = self.take_in().await;
            let at_once = self.stream.flush().await;
            give_way(Instant::now());
            if let Taken::Last(ending) = taken {
                return ending;
            }
            if self.stream.is_broken() {
                return Ending::Idle;
            }
            let inbox = match taken {
                Taken::All if at_once => Inbox::Empty,
                Taken::All | Taken::Last(_) => Inbox::Unknown,
                Taken::Some => Inbox::Held,
            };
            let event = self.next(inbox).await;
            if let Some(ending) = self.on_event(event).await {
                return ending;
            }
        }
    }

    async fn on_event(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Read(Came::Bytes) => None,
            Event::Read(Came::End) => Some(Ending::Goodbye),
            Event::Answer(answer) => self.on_answer(*answer, self.lived(Instant::now())),
            Event::Revised(tenant) => {
                let span = self.span();
                Box::pin(self.on_revised(tenant).instrument(span)).await
            }
            Event::Replaced => self.act(&Input::Replaced),
            Event::Drain => self.act(&Input::Drain),
            Event::Tick => self.act(&Input::Tick),
        }
    }

    async fn on_message(&mut self, message: ClientMessage) -> Option<Ending> {
        match message {
            ClientMessage::Request(request) => {
                let came = self.moment();
                self.on_request(request, came)
            }
            // What is rare takes its room when it comes.
            ClientMessage::Hello(hello) => {
                let span = self.span();
                Box::pin(self.on_hello(hello).instrument(span)).await
            }
            ClientMessage::Confirm(confirm) => {
                let ending = self.on_word();
                if ending.is_none() {
                    let noted = self.gateway.confirm(&self.peer, confirm);
                    if let Err(problem) = Box::pin(noted).await {
                        let _in = self.span().entered();
                        tracing::debug!(code = %problem.code, "a confirmation was refused");
                    }
                }
                ending
            }
            ClientMessage::Trusts(trusts) => {
                let ending = self.on_word();
                if ending.is_none() {
                    let noted = self.gateway.trusts(&self.peer, trusts);
                    if let Err(problem) = Box::pin(noted).await {
                        let _in = self.span().entered();
                        tracing::debug!(code = %problem.code, "a word on trust was refused");
                    }
                }
                ending
            }
            ClientMessage::Goodbye(_) => self.act(&Input::Goodbye),
        }
    }

    fn on_word(&mut self) -> Option<Ending> {
        self.pace.hear();
        self.act(&Input::Confirm)
    }

    /// Registers what Hello says, then welcomes; refused, the connection ends with the reason.
    async fn on_hello(&mut self, hello: Hello) -> Option<Ending> {
        let spoken = ContractVersion::negotiate(&hello.versions);
        let Some(version) = spoken.filter(|_| self.opened.is_none()) else {
            return self.act(&Input::Hello(&hello.versions));
        };
        match self.open(&hello, version).await {
            Ok(welcome) => {
                let ending = self.act(&Input::Hello(&hello.versions));
                if ending.is_none() {
                    self.stream.push(&ServerMessage::Welcome(welcome));
                    for state in std::mem::take(&mut self.after_welcome) {
                        self.stream.push(&ServerMessage::Directive(state));
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
                self.stream.push(&ServerMessage::Refused(problem));
                Some(Ending::Violation)
            }
        }
    }

    async fn on_revised(&mut self, tenant: TenantId) -> Option<Ending> {
        let known = match self.gateway.known(&self.peer.identity).await {
            Ok(known) => known,
            Err(problem) if problem.code == Code::RuntimeRevoked => {
                return self.act(&Input::Revoked);
            }
            // Whoever comes back is judged by the handshake.
            Err(problem) if problem.code == Code::CertificateRefused => {
                return Some(self.refuse(problem));
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
            self.stream.push(&ServerMessage::Directive(state));
        }
        None
    }

    fn act(&mut self, input: &Input<'_>) -> Option<Ending> {
        self.act_at(input, self.lived(Instant::now()))
    }

    fn act_at(&mut self, input: &Input<'_>, now: Timestamp) -> Option<Ending> {
        let effects = self.machine.handle(input, now);
        effects.into_iter().find_map(|effect| self.perform(effect))
    }

    fn perform(&mut self, effect: Effect) -> Option<Ending> {
        match effect {
            // Welcome itself is sent by whoever opened the session; the rest needs no word.
            Effect::Welcome { .. } | Effect::Serve { .. } | Effect::Confirm => None,
            Effect::Refuse { id, code } => {
                let problem =
                    Problem::new(code, "the request was not taken").retry_after_ms(RETRY_MS);
                let outcome = Outcome::Refused(problem);
                self.stream
                    .push(&ServerMessage::Answer(Answer { id, outcome }));
                None
            }
            Effect::SayGoodbye => {
                let goodbye = Goodbye {
                    reason: "the kernel stops".to_owned(),
                    retry_after_ms: self.pace.come_back_ms(),
                };
                self.stream.push(&ServerMessage::Goodbye(goodbye));
                None
            }
            Effect::Reject(code) => {
                let mut problem = Problem::new(code, "the connection ends");
                if code == Code::Draining {
                    problem = problem.retry_after_ms(self.pace.come_back_ms());
                }
                self.stream.push(&ServerMessage::Refused(problem));
                None
            }
            Effect::Close(ending) => Some(ending),
        }
    }

    /// The one place where a session ends.
    async fn finish(&mut self, ending: Ending) -> Ending {
        if let Some(opened) = self.opened.take() {
            opened.kept.runtime.closed(opened.generation);
        }
        self.stream.close().await;
        let _in = self.span().entered();
        if self.stream.is_faulty() {
            tracing::error!("a message could not be encoded");
        }
        tracing::debug!(?ending, "session ended");
        ending
    }

    /// In which the session's log lines stand. Made when there is something to log: held, those of
    /// ten thousand who wait would take half a kilobyte each.
    fn span(&self) -> Span {
        let Peer {
            identity, address, ..
        } = &*self.peer;
        tracing::info_span!(
            "session", tenant.id = %identity.tenant, runtime.id = %identity.runtime, peer.addr = %address
        )
    }
}

/// One of those in flight is answered within it.
const RETRY_MS: u64 = 1_000;
