//! Decide → journal → apply → reply, pipelined: one append under way, the next carries all that
//! waits.
//!
//! What if the process dies right here? Before the append: nothing happened, nobody was answered.
//! While it is under way: it is durable or not, nobody was answered, and the idempotency key says
//! which. After: it is replayed, and the answer is repeated to who asks again.

use std::{fmt, sync::Arc, time::Duration};

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use provost_kernel::{At, Command, EntityKey, State, apply, decide};
use provost_protocol::{
    Timestamp,
    envelope::{Envelope, EnvelopeError},
    event::Event,
};
use provost_store::{Append, AppendError, LookupKey, Stamped, idempotency_lookup};
use tokio::time::timeout;

use super::{
    TenantActor, TenantError,
    message::{Execute, Executed, Meta},
};
use crate::Ask;

/// What is called with the outcome, once it is durable.
pub(super) type Done = Box<dyn FnOnce(Result<Executed, TenantError>)>;

/// Something decided, whose answer waits for its group.
pub(super) struct Waiting {
    events: Vec<Stamped>,
    repeated: bool,
    done: Done,
}

/// The append that is under way.
pub(super) struct InFlight {
    answers: Vec<Waiting>,
    /// The state with everything of this append applied.
    after: State,
    after_seq: u64,
}

impl Handler<Ask<Execute>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<Execute>, ctx: &mut Context<Self>) {
        if !reply.is_abandoned() {
            let done = Box::new(move |outcome| reply.send(outcome));
            self.begin(message.command, message.meta, done, ctx);
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
        let lookup = meta.idempotency.as_ref().map(idempotency_lookup);
        let needs = command.needs();
        self.with_facts(
            needs,
            lookup.into_iter().collect(),
            move |actor, facts, ctx| {
                if let Err(error) = facts {
                    return done(Err(error));
                }
                match actor.prior(&meta, lookup) {
                    None => actor.decide_now(&command, |_| meta.clone(), done, ctx),
                    Some(Err(error)) => done(Err(error)),
                    Some(Ok(first)) => {
                        // Its group may still be under way: the answer joins the queue behind it.
                        let bytes: Arc<[u8]> = Arc::default();
                        let events = vec![Stamped {
                            envelope: first,
                            bytes,
                        }];
                        actor.enqueue(
                            Waiting {
                                events,
                                repeated: true,
                                done,
                            },
                            ctx,
                        );
                    }
                }
            },
            ctx,
        );
    }

    /// What the idempotency key did before, if anything.
    fn prior(
        &mut self,
        meta: &Meta,
        lookup: Option<LookupKey>,
    ) -> Option<Result<Arc<Envelope>, TenantError>> {
        let asked = meta.idempotency.as_ref()?;
        let first = self.recent.find(lookup?)??;
        let now = self.house.clock.now();
        if now.millis_since(first.time) >= IDEMPOTENCY_MS {
            return None;
        }
        let then = first.idempotency.as_ref()?;
        let same = then == asked;
        Some(if same {
            Ok(first)
        } else {
            Err(TenantError::IdempotencyConflict)
        })
    }

    /// Makes sure that entities and earlier events are known, then goes on; at once where they are.
    pub(super) fn with_facts(
        &mut self,
        needs: Vec<EntityKey>,
        lookups: Vec<LookupKey>,
        then: impl FnOnce(&mut Self, Result<(), TenantError>, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.last_used = self.house.clock.now();
        let missing: Vec<EntityKey> = needs
            .into_iter()
            .filter(|key| !key.is_hot() && !self.known.contains(key))
            .collect();
        let unseen: Vec<LookupKey> = lookups
            .into_iter()
            .filter(|key| self.recent.find(*key).is_none())
            .collect();
        if missing.is_empty() && unseen.is_empty() {
            return then(self, Ok(()), ctx);
        }
        if self.loading >= LOADING_MAX {
            return then(self, Err(TenantError::Overloaded), ctx);
        }
        self.loading += 1;
        let since = self.house.clock.now().minus_millis(IDEMPOTENCY_MS);
        let entities = self.house.backend.entities(self.id, missing);
        let events =
            (!unseen.is_empty()).then(|| self.house.backend.find(self.id, unseen.clone(), since));
        let read = async move {
            let entities = entities.await?;
            let events = match events {
                Some(events) => events.await?,
                None => Vec::new(),
            };
            Ok::<_, provost_store::ReadError>((entities, events))
        };
        let patient = async move {
            timeout(READ_PATIENCE, read)
                .await
                .unwrap_or(Err(provost_store::ReadError::Overloaded))
        };
        let resume = patient.into_actor(self).map(move |read, actor, ctx| {
            actor.loading -= 1;
            let learned = read.map(|(entities, events)| {
                for (key, entity) in entities {
                    // Who was faster has loaded and perhaps changed it.
                    if actor.known.insert(key.clone()) {
                        if let Some(entity) = entity {
                            actor.pending.load(key.clone(), Arc::clone(&entity));
                            actor.committed.load(key, entity);
                        }
                    }
                }
                for (key, event) in unseen.into_iter().zip(events) {
                    actor
                        .recent
                        .learn(key, event.map(|event| Arc::new(event.envelope)));
                }
                actor.published.publish(&actor.committed);
            });
            then(actor, learned.map_err(TenantError::from), ctx);
        });
        ctx.spawn(resume);
    }

    /// Decides on the pending state; what follows waits for its group.
    pub(super) fn decide_now(
        &mut self,
        command: &Command,
        meta_of: impl Fn(&Event) -> Meta,
        done: Done,
        ctx: &mut Context<Self>,
    ) {
        if self.waiting.len() >= WAITING_MAX {
            return done(Err(TenantError::Overloaded));
        }
        let now = self.house.clock.now();
        let events = match decide(&self.pending, command, now) {
            Ok(events) => events,
            Err(rejection) => return done(Err(rejection.into())),
        };
        match self.stamp(events, &meta_of, now) {
            Ok((events, pending)) => {
                self.pending_seq += u64::try_from(events.len()).unwrap_or(u64::MAX);
                self.pending = pending;
                for stamped in &events {
                    self.recent.decided(&stamped.envelope);
                }
                self.enqueue(
                    Waiting {
                        events,
                        repeated: false,
                        done,
                    },
                    ctx,
                );
            }
            Err(error) => done(Err(error)),
        }
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
        let mut seq = self.pending_seq;
        let mut stamped = Vec::with_capacity(events.len());
        for event in events {
            seq += 1;
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
            let bytes = envelope.to_bytes().map_err(|error| match error {
                EnvelopeError::TooLarge { .. } => TenantError::TooLarge,
                _ => TenantError::StorageUnavailable,
            })?;
            let at = At {
                tenant: self.id,
                epoch,
                seq,
                time: now,
            };
            apply(&mut pending, at, &envelope.event);
            stamped.push(Stamped {
                envelope: Arc::new(envelope),
                bytes: bytes.into(),
            });
        }
        Ok((stamped, pending))
    }

    fn enqueue(&mut self, waiting: Waiting, ctx: &mut Context<Self>) {
        let quiet = self.in_flight.is_none() && self.waiting.is_empty();
        if quiet && (waiting.repeated || waiting.events.is_empty()) {
            return waiting.finish(&self.committed);
        }
        self.waiting.push(waiting);
        self.append_if_idle(ctx);
    }

    fn append_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.in_flight.is_some() || self.waiting.is_empty() {
            return;
        }
        let answers = std::mem::take(&mut self.waiting);
        let fresh = answers.iter().filter(|waiting| !waiting.repeated);
        let events: Vec<Stamped> = fresh.flat_map(|waiting| waiting.events.clone()).collect();
        let append = Append {
            tenant: self.id,
            expected: self.committed_seq,
            events,
        };
        let (after, after_seq) = (self.pending.clone(), self.pending_seq);
        self.in_flight = Some(InFlight {
            answers,
            after,
            after_seq,
        });
        let empty = append.events.is_empty();
        let durable = self.house.backend.append(append);
        let outcome = async move {
            if empty {
                return Ok(());
            }
            timeout(APPEND_PATIENCE, durable)
                .await
                .unwrap_or(Err(AppendError::Unknown))
        };
        ctx.spawn(outcome.into_actor(self).map(Self::on_durable));
    }

    fn on_durable(outcome: Result<(), AppendError>, actor: &mut Self, ctx: &mut Context<Self>) {
        let Some(in_flight) = actor.in_flight.take() else {
            return;
        };
        match outcome {
            Ok(()) => {
                actor.committed = in_flight.after;
                actor.committed_seq = in_flight.after_seq;
                actor.published.publish(&actor.committed);
                for waiting in in_flight.answers {
                    for stamped in &waiting.events {
                        actor.recent.committed(&stamped.envelope);
                    }
                    waiting.finish(&actor.committed);
                }
                actor.append_if_idle(ctx);
                actor.unload_cold();
                actor.arm(ctx);
            }
            Err(error @ (AppendError::Overloaded | AppendError::Refused(_))) => {
                // Certainly not written: what was decided on it is void, and so is its aftermath.
                actor.pending = actor.committed.clone();
                actor.pending_seq = actor.committed_seq;
                actor.recent.aborted();
                let void = std::mem::take(&mut actor.waiting);
                for waiting in in_flight.answers.into_iter().chain(void) {
                    (waiting.done)(Err(TenantError::from(error.clone())));
                }
                actor.arm(ctx);
            }
            Err(error) => {
                tracing::error!(%error, "the outcome of an append is unknown: rebuilding");
                for waiting in in_flight.answers.into_iter().chain(actor.waiting.drain(..)) {
                    (waiting.done)(Err(TenantError::OutcomeUnknown));
                }
                actor.exit.rebuild("the outcome of an append is unknown");
                ctx.stop();
            }
        }
    }
}

impl Waiting {
    fn finish(self, committed: &State) {
        let events = self
            .events
            .into_iter()
            .map(|stamped| stamped.envelope)
            .collect();
        (self.done)(Ok(Executed {
            events,
            state: committed.clone(),
            repeated: self.repeated,
        }));
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("answers", &self.answers.len())
            .finish_non_exhaustive()
    }
}

/// Commands decided while one group is under way (architecture.md, section 3).
const WAITING_MAX: usize = 256;

/// Commands whose facts are being read: half of what the readers' queue holds.
const LOADING_MAX: usize = 512;

/// How long a key is remembered (contract.md, section 2).
const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Reading a few keys takes well under a millisecond; a disk that needs two seconds is stuck.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// An fdatasync of a busy disk may take a second; after four the outcome counts as unknown.
const APPEND_PATIENCE: Duration = Duration::from_secs(4);

/// The epoch of a log that was never restored.
const FIRST_EPOCH: u64 = 1;
