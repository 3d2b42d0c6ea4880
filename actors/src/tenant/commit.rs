//! Decide → journal → apply → reply, pipelined: one append under way, the next carries all that
//! waits.
//!
//! What if the process dies right here? Before the append: nothing happened, nobody was answered.
//! While it is under way: it is durable or not, nobody was answered, and the idempotency key says
//! which. After: it is replayed, and the answer is repeated to who asks again.

use std::{fmt, sync::Arc, time::Duration};

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use provost_kernel::{At, Command, State, apply, decide};
use provost_protocol::{
    Timestamp,
    envelope::{Envelope, EnvelopeError},
    event::Event,
};
use provost_store::{Append, AppendError, Stamped, idempotency_lookup};
use tokio::time::timeout;

use super::{
    TenantActor, TenantError,
    facts::{IDEMPOTENCY_MS, Needs},
    message::{Execute, Guard, Meta},
    queue::{Done, Waiting},
};
use crate::{Ask, fail_points};

/// The append that is under way.
pub(super) struct InFlight {
    answers: Vec<Waiting>,
    /// The state with everything of this append applied.
    pub(super) after: State,
    after_seq: u64,
}

impl Handler<Ask<Execute>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<Execute>, ctx: &mut Context<Self>) {
        if !reply.is_abandoned() {
            let done = Box::new(move |outcome| reply.send(outcome));
            self.begin_if(message.guard, message.command, message.meta, done, ctx);
        }
    }
}

impl TenantActor {
    /// Loads what a command needs, then decides it.
    pub(super) fn begin(
        &mut self,
        command: Command,
        meta: Meta,
        done: Done,
        ctx: &mut Context<Self>,
    ) {
        self.begin_if(None, command, meta, done, ctx);
    }

    fn begin_if(
        &mut self,
        guard: Option<Guard>,
        command: Command,
        meta: Meta,
        done: Done,
        ctx: &mut Context<Self>,
    ) {
        let lookup = meta.idempotency.as_ref().map(idempotency_lookup);
        let needs = Needs {
            entities: command.needs(),
            lookups: lookup.into_iter().collect(),
            since: self.house.clock.now().minus_millis(IDEMPOTENCY_MS),
        };
        let then = move |actor: &mut Self, facts, ctx: &mut Context<Self>| {
            if let Err(error) = facts {
                return done(Err(error));
            }
            let prior = actor.prior(&meta, lookup);
            let guard = guard.filter(|_| prior.is_none());
            if guard.is_some_and(|guard| !guard.holds(&actor.pending)) {
                return done(Err(TenantError::PreconditionFailed));
            }
            match prior {
                None => actor.decide_now(&command, |_| meta.clone(), done, ctx),
                Some(Err(error)) => done(Err(error)),
                // Its group may still be under way: the answer joins the queue behind it.
                Some(Ok(first)) => actor.repeat(first, done, ctx),
            }
        };
        self.with_facts(needs, then, ctx);
    }

    /// Decides on the pending state; what follows waits for its group.
    pub(super) fn decide_now(
        &mut self,
        command: &Command,
        meta_of: impl Fn(&Event) -> Meta,
        done: Done,
        ctx: &mut Context<Self>,
    ) {
        if self.waiting.is_full() {
            return done(Err(TenantError::Overloaded));
        }
        let now = self.house.clock.now();
        let events = match decide(&self.pending, command, now) {
            Ok(events) => events,
            Err(rejection) => return done(Err(rejection.into())),
        };
        let (events, after) = match self.stamp(events, &meta_of, now) {
            Ok(stamped) => stamped,
            Err(error) => return done(Err(error)),
        };
        let after_seq = events
            .last()
            .map_or(self.pending_seq, |last| last.envelope.seq);
        if !self.waiting.fits(&events) {
            self.waiting.seal(self.pending.clone(), self.pending_seq);
        }
        (self.pending, self.pending_seq) = (after, after_seq);
        fail_points::reach(fail_points::DECIDED);
        for stamped in &events {
            self.recent.decided(&stamped.envelope);
        }
        let decided = Waiting {
            envelopes: events.iter().map(|e| Arc::clone(&e.envelope)).collect(),
            fresh: events,
            repeated: false,
            done,
        };
        self.enqueue(decided, ctx);
    }

    fn repeat(&mut self, first: Arc<Envelope>, done: Done, ctx: &mut Context<Self>) {
        if self.waiting.is_full() {
            return done(Err(TenantError::Overloaded));
        }
        let repeated = Waiting {
            envelopes: vec![first],
            fresh: Vec::new(),
            repeated: true,
            done,
        };
        self.enqueue(repeated, ctx);
    }

    /// Gives events their place in the log; says what the state would be with them.
    fn stamp(
        &self,
        events: Vec<Event>,
        meta_of: &impl Fn(&Event) -> Meta,
        now: Timestamp,
    ) -> Result<(Vec<Stamped>, State), TenantError> {
        let mut pending = self.pending.clone();
        let epoch = pending.epoch().max(FIRST_EPOCH);
        let mut stamped = Vec::with_capacity(events.len());
        for (seq, event) in (self.pending_seq + 1..).zip(events) {
            let meta = meta_of(&event);
            // The first event speaks for all of its command; a refusal binds nobody.
            let speaks = stamped.is_empty() && !matches!(event, Event::QuotaDenied(_));
            let envelope = Envelope {
                tenant: self.id,
                epoch,
                seq,
                time: now,
                actor: meta.actor,
                source: meta.source,
                correlation_id: meta.correlation_id,
                idempotency: meta.idempotency.filter(|_| speaks),
                event,
            };
            let at = At {
                tenant: self.id,
                epoch,
                seq,
                time: now,
            };
            apply(&mut pending, at, &envelope.event);
            let event = Stamped::new(envelope).map_err(|error| match error {
                EnvelopeError::TooLarge { .. } => TenantError::TooLarge,
                _ => TenantError::StorageUnavailable,
            })?;
            stamped.push(event);
        }
        Ok((stamped, pending))
    }

    fn enqueue(&mut self, waiting: Waiting, ctx: &mut Context<Self>) {
        self.waiting.push(waiting);
        self.append_if_idle(ctx);
    }

    fn append_if_idle(&mut self, ctx: &mut Context<Self>) {
        while self.in_flight.is_none()
            && !self.gathering
            && let Some(mut batch) = self.waiting.take()
        {
            let fresh = batch.answers.iter_mut().map(|waiting| &mut waiting.fresh);
            let events: Vec<Stamped> = fresh.flat_map(std::mem::take).collect();
            if events.is_empty() {
                // All that these answers rest on is durable already.
                let answers = batch.answers.into_iter();
                answers.for_each(|waiting| waiting.finish(&self.committed));
                continue;
            }
            let (after, after_seq) = batch
                .sealed
                .unwrap_or_else(|| (self.pending.clone(), self.pending_seq));
            self.in_flight = Some(InFlight {
                answers: batch.answers,
                after,
                after_seq,
            });
            fail_points::reach(fail_points::BEFORE_SUBMIT);
            let durable = self.house.backend.append(Append {
                tenant: self.id,
                expected: self.committed_seq,
                events,
            });
            let outcome = async move {
                let outcome = timeout(APPEND_PATIENCE, durable).await;
                outcome.unwrap_or(Err(AppendError::Unknown))
            };
            ctx.spawn(outcome.into_actor(self).map(Self::on_durable));
        }
    }

    /// Appends what waits after those who were just answered had a turn: of those who write and
    /// wait in turns, each append would hold only a part otherwise. The empty task runs after all
    /// that were woken before it.
    fn gather(&mut self, ctx: &mut Context<Self>) {
        self.gathering = true;
        let turn = tokio::task::spawn_local(async {}).into_actor(self);
        ctx.spawn(turn.map(|_, actor, ctx| {
            actor.gathering = false;
            actor.append_if_idle(ctx);
        }));
    }

    fn on_durable(outcome: Result<(), AppendError>, actor: &mut Self, ctx: &mut Context<Self>) {
        let Some(in_flight) = actor.in_flight.take() else {
            return;
        };
        match outcome {
            Ok(()) => {
                fail_points::reach(fail_points::STORE_ANSWERED);
                actor.committed = in_flight.after;
                actor.committed_seq = in_flight.after_seq;
                actor.published.publish(&actor.committed);
                fail_points::reach(fail_points::PUBLISHED);
                // Who is alone is waited for by nobody.
                let alone = in_flight.answers.len() <= 1 && actor.waiting.is_empty();
                for waiting in in_flight.answers {
                    for envelope in &waiting.envelopes {
                        actor.recent.committed(envelope);
                    }
                    waiting.finish(&actor.committed);
                }
                if !alone {
                    actor.gather(ctx);
                }
                actor.unload_cold();
                actor.arm(ctx);
            }
            Err(error @ (AppendError::Overloaded | AppendError::Refused(_))) => {
                // Certainly not written: what was decided on it is void, and so is its aftermath.
                actor.pending = actor.committed.clone();
                actor.pending_seq = actor.committed_seq;
                actor.recent.aborted();
                let void = actor.waiting.take_all();
                for waiting in in_flight.answers.into_iter().chain(void) {
                    (waiting.done)(Err(TenantError::from(error.clone())));
                }
                actor.arm(ctx);
            }
            Err(error) => {
                tracing::error!(%error, "the outcome of an append is unknown: rebuilding");
                // What waited behind it was never sent: asking again is safe.
                for waiting in actor.waiting.take_all() {
                    (waiting.done)(Err(TenantError::Gone));
                }
                for waiting in in_flight.answers {
                    (waiting.done)(Err(TenantError::from(error.clone())));
                }
                actor.exit.rebuild("the outcome of an append is unknown");
                ctx.stop();
            }
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("answers", &self.answers.len())
            .finish_non_exhaustive()
    }
}

/// An fdatasync of a busy disk may take a second; after four the outcome counts as unknown.
const APPEND_PATIENCE: Duration = Duration::from_secs(4);

/// The epoch of a log that was never restored.
const FIRST_EPOCH: u64 = 1;
