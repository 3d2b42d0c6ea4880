//! What must be known before a command is decided: cold entities, and earlier events.
//!
//! What was read joins every state that is held, also those of appends under way: each of them
//! takes the place of the committed one when it is durable.

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use provost_kernel::EntityKey;
use provost_protocol::{Timestamp, envelope::Envelope};
use provost_store::{Found, LookupKey, ReadError, StoredEvent};
use tokio::time::timeout;

use super::{TenantActor, TenantError, message::Meta};

/// Goes on once the facts are there, or says why they are not.
pub(super) type Then =
    Box<dyn FnOnce(&mut TenantActor, Result<(), TenantError>, &mut Context<TenantActor>)>;

/// What a command asks to be known.
pub(super) struct Needs {
    pub(super) entities: Vec<EntityKey>,
    pub(super) lookups: Vec<LookupKey>,
    /// Earlier events are looked for from here on.
    pub(super) since: Timestamp,
}

type Read = (Vec<Found>, Vec<Option<StoredEvent>>);

impl Needs {
    pub(super) fn entities(entities: Vec<EntityKey>) -> Self {
        Self {
            entities,
            lookups: Vec::new(),
            since: Timestamp::MAX,
        }
    }
}

impl TenantActor {
    /// Makes sure that entities and earlier events are known, then goes on; at once where they are.
    pub(super) fn with_facts(
        &mut self,
        needs: Needs,
        then: impl FnOnce(&mut Self, Result<(), TenantError>, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.last_used = self.house.clock.now();
        self.look_up(needs, ROUNDS_MAX, Box::new(then), ctx);
    }

    fn look_up(&mut self, needs: Needs, rounds: u32, then: Then, ctx: &mut Context<Self>) {
        let (missing, unseen) = self.unknown(&needs);
        if missing.is_empty() && unseen.is_empty() {
            return then(self, Ok(()), ctx);
        }
        let crowded = self.known.len().saturating_sub(self.held.len()) > COLD_BUSY_MAX;
        if rounds == 0 || self.loading >= LOADING_MAX || crowded {
            return then(self, Err(TenantError::Overloaded), ctx);
        }
        self.loading += 1;
        let read = self.read(missing, unseen.clone(), needs.since);
        let resume = read.into_actor(self).map(move |read, actor, ctx| {
            actor.loading -= 1;
            match read {
                Ok((entities, events)) => {
                    // What is known already counts as used, so that what comes does not push it out.
                    let _ = actor.unknown(&needs);
                    actor.learn(entities, unseen, events);
                    actor.look_up(needs, rounds - 1, then, ctx);
                }
                Err(error) => then(actor, Err(error.into()), ctx),
            }
            actor.unload_cold();
        });
        ctx.spawn(resume);
    }

    fn unknown(&mut self, needs: &Needs) -> (Vec<EntityKey>, Vec<LookupKey>) {
        let missing = needs
            .entities
            .iter()
            .filter(|key| !key.is_hot() && !self.known.contains(key))
            .cloned()
            .collect();
        let unseen = needs
            .lookups
            .iter()
            .filter(|key| self.recent.find(**key).is_none())
            .copied()
            .collect();
        (missing, unseen)
    }

    fn read(
        &self,
        missing: Vec<EntityKey>,
        unseen: Vec<LookupKey>,
        since: Timestamp,
    ) -> impl Future<Output = Result<Read, ReadError>> + 'static {
        let backend = &self.house.backend;
        let entities = (!missing.is_empty()).then(|| backend.entities(self.id, missing));
        let events = (!unseen.is_empty()).then(|| backend.find(self.id, unseen, since));
        let read = async move {
            let entities = match entities {
                Some(entities) => entities.await?,
                None => Vec::new(),
            };
            let events = match events {
                Some(events) => events.await?,
                None => Vec::new(),
            };
            Ok((entities, events))
        };
        async move {
            timeout(READ_PATIENCE, read)
                .await
                .unwrap_or(Err(ReadError::Overloaded))
        }
    }

    fn learn(
        &mut self,
        entities: Vec<Found>,
        unseen: Vec<LookupKey>,
        events: Vec<Option<StoredEvent>>,
    ) {
        let shows = !entities.is_empty();
        for (key, entity) in entities {
            // Who was faster has loaded and perhaps changed it.
            if self.known.insert(key.clone())
                && let Some(entity) = entity
            {
                if let Some(in_flight) = &mut self.in_flight {
                    in_flight.after.load(key.clone(), Arc::clone(&entity));
                }
                self.waiting.load(&key, &entity);
                self.pending.load(key.clone(), Arc::clone(&entity));
                self.committed.load(key, entity);
            }
        }
        for (key, event) in unseen.into_iter().zip(events) {
            let envelope = event.map(|event| Arc::new(event.envelope));
            self.recent.learn(key, envelope);
        }
        if shows {
            self.published.publish(&self.committed);
        }
    }

    /// What the idempotency key did before, if anything.
    pub(super) fn prior(
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
        Some(if then == asked {
            Ok(first)
        } else {
            Err(TenantError::IdempotencyConflict)
        })
    }

    /// Forgets cold entities nobody needs, once nothing is under way that might.
    pub(super) fn unload_cold(&mut self) {
        let busy = self.in_flight.is_some() || !self.waiting.is_empty() || self.loading > 0;
        if busy || self.known.len().saturating_sub(self.held.len()) <= COLD_MAX {
            return;
        }
        let held = &self.held;
        let unneeded: Vec<EntityKey> = self
            .known
            .iter()
            .filter(|key| !held.contains_key(key))
            .cloned()
            .collect();
        for key in unneeded {
            self.pending.unload(&key);
            self.committed.unload(&key);
            self.known.remove(&key);
        }
        self.published.publish(&self.committed);
    }
}

/// How long a key is remembered (contract.md, section 2).
pub(super) const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Reading a few keys takes well under a millisecond; a disk that needs two seconds is stuck.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// Commands whose facts are being read: half of what the readers' queue holds.
const LOADING_MAX: usize = 512;

/// What was known may be pushed out while the rest is read: once is usual under load, four times
/// is a tenant that thrashes.
const ROUNDS_MAX: u32 = 4;

/// Cold entities kept for whoever comes next: a token, an identity, a license's head.
const COLD_MAX: usize = 256;

/// Cold entities beyond what is held that a tenant never quiet may gather, at some 300 bytes each:
/// past it new ones are refused for the few milliseconds until a moment of quiet.
const COLD_BUSY_MAX: usize = 16_384;
