//! The shell around one runtime's pulse and session.

use std::{rc::Rc, sync::Arc};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use provost_kernel::{Command, EntityKey, clones::Copies, liveness::Rhythm};
use provost_protocol::{
    CorrelationId, RuntimeId, TenantId, Timestamp,
    entity::{Health, RuntimeStatus, RuntimeType, SecurityLevel},
    envelope::{ActorRef, Source},
};

use tokio::sync::watch;

use super::{
    checkpoints::Checkpoints,
    handle::{BeatAnswer, Opened, Opening},
    live::{Beat, Live},
    silence::LOST_AGAIN_MS,
    younger::Younger,
};
use crate::{
    Ask, LocalWheel, Meta, TenantError, TenantHandle, answers,
    house::House,
    tenant::{Presence, PresenceChange},
};

/// One live runtime.
#[derive(Debug)]
pub(crate) struct RuntimeActor {
    pub(crate) id: RuntimeId,
    pub(crate) house: Arc<House>,
    pub(crate) tenant: TenantHandle,
    pub(crate) live: Arc<Live>,
    pub(crate) wheel: LocalWheel<(TenantId, RuntimeId)>,
    /// Says how many runtimes this kernel has.
    pub(crate) fleet: Rc<dyn Fleet>,
    pub(crate) session: Option<u64>,
    pub(crate) health_reported: Option<Timestamp>,
    pub(crate) checkpoints: Checkpoints,
    /// Who came of late in this runtime's name.
    pub(crate) copies: Copies,
    /// What the log said last of its status: the view says nothing while its tenant is rebuilt.
    pub(crate) status: RuntimeStatus,
    /// Keeps the tenant awake: what this actor sees is its view, and it reports there.
    pub(crate) _awake: watch::Receiver<u64>,
}

/// Says how large the fleet is, and hears who is lost.
pub(crate) trait Fleet: std::fmt::Debug {
    fn size(&self) -> u64;

    /// A lost runtime costs no actor any more; only its number is shown.
    fn lost(&self, key: (TenantId, RuntimeId), runtime_type: RuntimeType);
}

/// A heartbeat.
#[derive(Debug, Message)]
#[rtype(result = "Result<BeatAnswer, TenantError>")]
pub(crate) struct TakeBeat(pub(super) Beat);

/// A session begins.
#[derive(Debug, Message)]
#[rtype(result = "Opened")]
pub(crate) struct OpenSession(pub(super) Opening);

/// A session has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseSession {
    pub(super) generation: u64,
}

/// The wheel says that the runtime's deadline has come.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Tick {
    pub(super) now: Timestamp,
}

impl RuntimeActor {
    pub(super) fn status(&mut self) -> RuntimeStatus {
        let view = self.tenant.view();
        if let Some(runtime) = view.runtime(self.id) {
            self.status = runtime.status;
        }
        self.status
    }

    /// Whether the log calls the runtime lost; unknown while its tenant is rebuilt.
    pub(super) fn is_lost_in_log(&self) -> Option<bool> {
        let view = self.tenant.view();
        view.runtime(self.id).map(|runtime| runtime.lost)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.session.is_some() && self.live.is_connected()
    }

    pub(super) fn say(&self, change: PresenceChange) {
        self.tenant.presence(Presence {
            runtime: self.id,
            change,
        });
    }

    /// A rebuilt tenant holds nothing any more: what this actor looks at is loaded again.
    pub(super) fn hold_again(&self, ctx: &mut Context<Self>) {
        let (tenant, key) = (self.tenant.clone(), EntityKey::Runtime(self.id));
        if tenant.view().get(&key).is_none() {
            let hold = async move { tenant.hold(vec![key]).await };
            ctx.spawn(hold.into_actor(self).map(|_, _, _| ()));
        }
    }

    pub(super) fn key(&self) -> (TenantId, RuntimeId) {
        (self.tenant.id(), self.id)
    }

    pub(super) fn schedule(&self) {
        let now = self.house.clock.now();
        // Silent, it stays until the log says so and its session has ended.
        let again = || now.plus_millis(LOST_AGAIN_MS);
        let next = self.live.look_at(now).unwrap_or_else(again);
        self.wheel.schedule(self.key(), next);
    }

    pub(super) fn meta(&self) -> Meta {
        let now = self.house.clock.now();
        Meta {
            actor: ActorRef::runtime(self.id),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(now, self.house.random.id_bytes()),
            idempotency: None,
        }
    }

    /// Takes in that the runtime is alive: a heartbeat, or a session's first word.
    fn alive(&mut self, ctx: &mut Context<Self>) {
        let seed = self.house.random.seed();
        let rhythm = Rhythm::for_fleet(self.fleet.size(), self.security_level());
        self.live.heard(rhythm.spread(seed), self.house.clock.now());
        // By what the log says, not by what was said: a word that was dropped is said again.
        match self.is_lost_in_log() {
            Some(true) => self.say(PresenceChange::Returned),
            Some(false) => {}
            None => self.hold_again(ctx),
        }
        self.schedule();
    }

    fn security_level(&self) -> SecurityLevel {
        let view = self.tenant.view();
        let tenant = view.tenant();
        tenant.map_or(SecurityLevel::Standard, |tenant| {
            tenant.policies.security_level
        })
    }

    /// Health is for the log at most once a minute; `kernel` says when.
    fn report_health(&mut self, health: Health, ctx: &mut Context<Self>) {
        let held = self
            .tenant
            .view()
            .runtime(self.id)
            .map(|runtime| runtime.health);
        if held.is_none_or(|held| held == health) {
            return;
        }
        let command = Command::ReportHealth {
            runtime: self.id,
            health,
            last: self.health_reported,
        };
        let (tenant, meta) = (self.tenant.clone(), self.meta());
        let report = async move { tenant.execute(command, meta).await };
        ctx.spawn(report.into_actor(self).map(|outcome, actor, _| {
            if outcome.is_ok_and(|executed| !executed.events.is_empty()) {
                actor.health_reported = Some(actor.house.clock.now());
            }
        }));
    }
}

impl Actor for RuntimeActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.schedule();
    }
}

impl Drop for RuntimeActor {
    fn drop(&mut self) {
        self.wheel.cancel(&self.key());
        self.tenant.release(vec![EntityKey::Runtime(self.id)]);
    }
}

impl Handler<Ask<TakeBeat>> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<TakeBeat>, ctx: &mut Self::Context) {
        let TakeBeat(beat) = message;
        let health = beat.health;
        self.alive(ctx);
        self.look_beside_refused(beat.address, ctx);
        self.live.tell(beat);
        self.report_health(health, ctx);
        let (status, rhythm) = (self.status(), self.live.rhythm());
        if status != RuntimeStatus::Registered {
            return reply.send(Ok(BeatAnswer { status, rhythm }));
        }
        let (tenant, meta) = (self.tenant.clone(), self.meta());
        let command = Command::Activate { runtime: self.id };
        let activate = async move { tenant.execute(command, meta).await };
        ctx.spawn(activate.into_actor(self).map(move |outcome, actor, _| {
            let rhythm = actor.live.rhythm();
            reply.send(outcome.map(|_| BeatAnswer {
                status: actor.status(),
                rhythm,
            }));
        }));
    }
}

answers!(RuntimeActor: OpenSession);

impl Handler<OpenSession> for RuntimeActor {
    type Result = actix::MessageResult<OpenSession>;

    fn handle(&mut self, OpenSession(open): OpenSession, ctx: &mut Self::Context) -> Self::Result {
        let held = self.live.generation();
        let generation = held
            .max(open.last_generation.min(GENERATION_CLAIMED_MAX))
            .saturating_add(1);
        let younger = Younger::begin(&self.live, generation);
        self.session = Some(generation);
        self.look_for_copies(&open, generation, ctx);
        self.alive(ctx);
        self.live.change(|live| {
            live.connected = true;
            live.address = Some(open.address);
        });
        actix::MessageResult(Opened {
            generation,
            younger,
            rhythm: self.live.rhythm(),
        })
    }
}

impl Handler<CloseSession> for RuntimeActor {
    type Result = ();

    fn handle(&mut self, close: CloseSession, _: &mut Self::Context) {
        if self.session == Some(close.generation) {
            self.session = None;
        }
    }
}

/// Heartbeats and session changes of one runtime: more than a few waiting are a fault of its own.
const MAILBOX_MAX: usize = 16;

/// What a connector may claim of its last session: no number of sessions comes near, and a claim
/// of the largest would end every later replacement.
const GENERATION_CLAIMED_MAX: u64 = u64::MAX / 2;
