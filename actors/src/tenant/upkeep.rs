//! What a tenant does of its own accord: deadlines, batches of what its runtimes show, and sleep.
//!
//! One timer for all of it, armed anew whenever something changes. Every batch has a moment of its
//! own: what goes on meanwhile does not put it off.

use std::{collections::BTreeSet, time::Duration};

use actix::{ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use provost_kernel::{Command, desired::Confirmations, trust::TrustWords};
use provost_protocol::{
    CorrelationId, RuntimeId, Timestamp,
    envelope::{ActorRef, Source},
};

use super::{
    TenantActor, TenantError,
    message::{Executed, Meta, NoteConfirmation, NoteTrust, Presence, PresenceChange},
};

/// What gathers until its moment.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    lost: BTreeSet<RuntimeId>,
    returned: BTreeSet<RuntimeId>,
    presence_due: Option<Timestamp>,
    confirmations: Confirmations,
    trust: TrustWords,
    /// A deadline that passed is not tried again before.
    expire_after: Option<Timestamp>,
    timer: Option<SpawnHandle>,
}

impl TenantActor {
    /// Arms the one timer for whatever is next: a deadline of the state, a batch, or sleep.
    pub(super) fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.upkeep.timer.take() {
            ctx.cancel_future(timer);
        }
        let now = self.house.clock.now();
        // Where the clock was set back a batch does not wait until it has caught up.
        let presence_at_latest = now.plus_millis(PRESENCE_BATCH_MS);
        self.upkeep.presence_due = self
            .upkeep
            .presence_due
            .map(|due| due.min(presence_at_latest));
        let moments = [
            self.upkeep.presence_due,
            self.upkeep.confirmations.deadline(),
            self.upkeep.trust.deadline(),
            self.pending.deadline().max(self.expire_after()),
        ];
        let next = moments.into_iter().flatten().min();
        let look = now.plus_millis(IDLE_CHECK_MS);
        let next = next.map_or(look, |next| next.min(look));
        let wait = Duration::from_millis(next.millis_since(now).max(1));
        self.upkeep.timer = Some(ctx.run_later(wait, Self::on_timer));
    }

    /// Only where a deadline stands does the back-off count.
    fn expire_after(&self) -> Option<Timestamp> {
        self.pending.deadline().and(self.upkeep.expire_after)
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        self.upkeep.timer = None;
        let now = self.house.clock.now();
        let is_past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if is_past(self.pending.deadline().max(self.expire_after())) {
            self.upkeep.expire_after = Some(now.plus_millis(EXPIRE_AGAIN_MS));
            self.execute_own(Command::Expire, ctx);
        }
        let confirmed = self.upkeep.confirmations.take(now);
        if !confirmed.is_empty() {
            self.execute_own(Command::Confirm { confirmed }, ctx);
        }
        if let Some(confirm) = self.upkeep.trust.take(now) {
            self.execute_own(Command::ConfirmTrust(confirm), ctx);
        }
        if is_past(self.upkeep.presence_due) {
            self.record_presence(ctx);
        }
        if self.may_sleep(now) {
            tracing::debug!("tenant falls asleep");
            ctx.stop();
            return;
        }
        self.arm(ctx);
    }

    fn record_presence(&mut self, ctx: &mut Context<Self>) {
        self.upkeep.presence_due = None;
        let lost = std::mem::take(&mut self.upkeep.lost);
        if !lost.is_empty() {
            let runtimes = lost.into_iter().collect();
            self.execute_own(Command::MarkLost { runtimes }, ctx);
        }
        let returned = std::mem::take(&mut self.upkeep.returned);
        if !returned.is_empty() {
            let runtimes = returned.into_iter().collect();
            self.execute_own(Command::MarkReturned { runtimes }, ctx);
        }
    }

    /// Asleep it costs nothing; its next deadline stands in the store's due index.
    fn may_sleep(&self, now: Timestamp) -> bool {
        self.in_flight.is_none()
            && !self.gathering
            && self.waiting.is_empty()
            && self.loading == 0
            && self.held.is_empty()
            && self.upkeep.presence_due.is_none()
            && self.upkeep.confirmations.deadline().is_none()
            && self.upkeep.trust.deadline().is_none()
            && self.published.revision.receiver_count() == 0
            && now.millis_since(self.last_used) >= SLEEP_AFTER_MS
    }

    /// Decides a command of the kernel's own; nobody waits for its answer.
    fn execute_own(&mut self, command: Command, ctx: &mut Context<Self>) {
        let now = self.house.clock.now();
        let meta = Meta {
            actor: ActorRef::system(),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(now, self.house.random.id_bytes()),
            idempotency: None,
        };
        let done = Box::new(|outcome: Result<Executed, TenantError>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "what a deadline asked for was not done");
            }
        });
        self.begin(command, meta, done, ctx);
    }
}

impl Handler<Presence> for TenantActor {
    type Result = ();

    fn handle(&mut self, presence: Presence, ctx: &mut Self::Context) {
        let runtime = presence.runtime;
        match presence.change {
            PresenceChange::Lost => {
                self.upkeep.returned.remove(&runtime);
                self.upkeep.lost.insert(runtime);
            }
            PresenceChange::Returned => {
                self.upkeep.lost.remove(&runtime);
                self.upkeep.returned.insert(runtime);
            }
        }
        let due = self.house.clock.now().plus_millis(PRESENCE_BATCH_MS);
        self.upkeep.presence_due.get_or_insert(due);
        self.arm(ctx);
    }
}

impl Handler<NoteConfirmation> for TenantActor {
    type Result = ();

    fn handle(&mut self, note: NoteConfirmation, ctx: &mut Self::Context) {
        let now = self.house.clock.now();
        self.upkeep.confirmations.add(note.0, now);
        self.arm(ctx);
    }
}

impl Handler<NoteTrust> for TenantActor {
    type Result = ();

    fn handle(&mut self, note: NoteTrust, ctx: &mut Self::Context) {
        let now = self.house.clock.now();
        self.upkeep.trust.add(note.runtime, &note.bundle, now);
        self.arm(ctx);
    }
}

/// One wheel tick: what is lost together is one event.
const PRESENCE_BATCH_MS: u64 = 1_000;

/// An end that could not be recorded is tried again as often as an operator frees a disk; until
/// then it denies all the same.
const EXPIRE_AGAIN_MS: u64 = 5_000;

/// How often a quiet tenant looks whether it may sleep.
const IDLE_CHECK_MS: u64 = 15_000;

/// Long enough for a person between two pages, short enough that a million tenants cost nothing.
const SLEEP_AFTER_MS: u64 = 60_000;
