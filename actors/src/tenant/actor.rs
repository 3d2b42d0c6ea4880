//! The shell around one tenant's state.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use arc_swap::ArcSwap;
use provost_kernel::{Command, EntityKey, State, desired::Confirmations};
use provost_protocol::{
    CorrelationId, RuntimeId, TenantId, Timestamp,
    envelope::{ActorRef, Source},
};
use provost_store::Loaded;
use tokio::sync::watch;

use super::{
    commit::{InFlight, Waiting},
    message::{Due, Hold, Meta, NoteConfirmation, Presence, PresenceChange, Ready, Release},
    recent::Recent,
};
use crate::{Ask, answers, guardian::Exit, house::House};

/// One tenant.
#[derive(Debug)]
pub(crate) struct TenantActor {
    pub(super) id: TenantId,
    pub(super) house: Arc<House>,
    pub(super) published: Arc<Published>,
    pub(super) exit: Exit,
    /// What is durable.
    pub(super) committed: State,
    /// What will be, if everything in flight and waiting is.
    pub(super) pending: State,
    /// Sequence of the last event of `pending`.
    pub(super) pending_seq: u64,
    /// Sequence of the last durable event.
    pub(super) committed_seq: u64,
    pub(super) in_flight: Option<InFlight>,
    pub(super) waiting: Vec<Waiting>,
    /// Commands whose facts are being read.
    pub(super) loading: usize,
    pub(super) recent: Recent,
    /// Cold entities that are loaded, or known to be absent.
    pub(super) known: HashSet<EntityKey>,
    /// Cold entities that must stay loaded, and for how many.
    held: BTreeMap<EntityKey, usize>,
    lost: BTreeSet<RuntimeId>,
    returned: BTreeSet<RuntimeId>,
    confirmations: Confirmations,
    timer: Option<SpawnHandle>,
    pub(super) last_used: Timestamp,
}

/// What readers on every thread see of a tenant.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<State>,
    revision: watch::Sender<u64>,
}

impl Published {
    pub(crate) fn new(tenant: TenantId) -> Self {
        let view = ArcSwap::from_pointee(State::new(tenant, 0));
        Self {
            view,
            revision: watch::Sender::new(0),
        }
    }

    pub(super) fn view(&self) -> Arc<State> {
        self.view.load_full()
    }

    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Shows a committed state; the view first, so that who hears of a revision sees it.
    pub(super) fn publish(&self, state: &State) {
        self.view.store(Arc::new(state.clone()));
        let revision = state.revision();
        self.revision.send_if_modified(|held| {
            let changed = *held != revision;
            *held = revision;
            changed
        });
    }
}

impl TenantActor {
    pub(crate) fn new(
        house: Arc<House>,
        published: Arc<Published>,
        exit: Exit,
        loaded: Loaded,
    ) -> Self {
        let now = house.clock.now();
        published.publish(&loaded.state);
        Self {
            id: loaded.state.tenant_id(),
            house,
            published,
            exit,
            pending: loaded.state.clone(),
            committed: loaded.state,
            pending_seq: loaded.head.seq,
            committed_seq: loaded.head.seq,
            in_flight: None,
            waiting: Vec::new(),
            loading: 0,
            recent: Recent::new(),
            known: HashSet::new(),
            held: BTreeMap::new(),
            lost: BTreeSet::new(),
            returned: BTreeSet::new(),
            confirmations: Confirmations::default(),
            timer: None,
            last_used: now,
        }
    }

    /// Forgets cold entities nobody needs, once nothing is under way that might.
    pub(super) fn unload_cold(&mut self) {
        let busy = self.in_flight.is_some() || !self.waiting.is_empty() || self.loading > 0;
        if busy || self.known.len() <= COLD_MAX {
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
    }

    /// Arms the one timer for whatever is next: a deadline of the state, a batch, or sleep.
    pub(super) fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let now = self.house.clock.now();
        let batch = (!self.lost.is_empty() || !self.returned.is_empty())
            .then(|| now.plus_millis(PRESENCE_BATCH_MS));
        let next = [
            batch,
            self.confirmations.deadline(),
            self.pending.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(Timestamp::MAX)
        .min(now.plus_millis(IDLE_CHECK_MS));
        let wait = Duration::from_millis(next.millis_since(now).max(1));
        self.timer = Some(ctx.run_later(wait, Self::on_timer));
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let now = self.house.clock.now();
        if self
            .pending
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.execute_own(Command::Expire, ctx);
        }
        let confirmed = self.confirmations.take(now);
        if !confirmed.is_empty() {
            self.execute_own(Command::Confirm { confirmed }, ctx);
        }
        let lost: Vec<RuntimeId> = std::mem::take(&mut self.lost).into_iter().collect();
        if !lost.is_empty() {
            self.execute_own(Command::MarkLost { runtimes: lost }, ctx);
        }
        let returned: Vec<RuntimeId> = std::mem::take(&mut self.returned).into_iter().collect();
        if !returned.is_empty() {
            self.execute_own(Command::MarkReturned { runtimes: returned }, ctx);
        }
        if self.may_sleep(now) {
            tracing::debug!("tenant falls asleep");
            ctx.stop();
            return;
        }
        self.arm(ctx);
    }

    /// Asleep it costs nothing; its next deadline stands in the store's due index.
    fn may_sleep(&self, now: Timestamp) -> bool {
        self.in_flight.is_none()
            && self.waiting.is_empty()
            && self.loading == 0
            && self.held.is_empty()
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
        let done = Box::new(|outcome: Result<_, super::TenantError>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "what a deadline asked for was not done");
            }
        });
        self.begin(command, meta, done, ctx);
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        tracing::debug!(seq = self.committed_seq, "tenant awake");
        self.arm(ctx);
    }
}

answers!(TenantActor: Ready);

impl Handler<Ready> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Ready, _: &mut Self::Context) {}
}

impl Handler<Due> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Due, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Handler<Ask<Hold>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<Hold>, ctx: &mut Self::Context) {
        let Hold(keys) = message;
        for key in &keys {
            *self.held.entry(key.clone()).or_default() += 1;
        }
        let answer = move |actor: &mut Self, outcome, _: &mut Context<Self>| {
            reply.send(match outcome {
                Ok(()) => Ok(actor.committed.clone()),
                Err(error) => {
                    actor.let_go(keys);
                    Err(error)
                }
            });
        };
        let needed: Vec<EntityKey> = self.held.keys().cloned().collect();
        self.with_facts(needed, Vec::new(), answer, ctx);
    }
}

impl Handler<Release> for TenantActor {
    type Result = ();

    fn handle(&mut self, Release(keys): Release, _: &mut Self::Context) {
        self.let_go(keys);
    }
}

impl TenantActor {
    fn let_go(&mut self, keys: Vec<EntityKey>) {
        for key in keys {
            if let Some(count) = self.held.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.held.remove(&key);
                }
            }
        }
    }
}

impl Handler<Presence> for TenantActor {
    type Result = ();

    fn handle(&mut self, presence: Presence, ctx: &mut Self::Context) {
        let runtime = presence.runtime;
        match presence.change {
            PresenceChange::Lost => {
                self.returned.remove(&runtime);
                self.lost.insert(runtime);
            }
            PresenceChange::Returned => {
                self.lost.remove(&runtime);
                self.returned.insert(runtime);
            }
        }
        self.arm(ctx);
    }
}

impl Handler<NoteConfirmation> for TenantActor {
    type Result = ();

    fn handle(&mut self, note: NoteConfirmation, ctx: &mut Self::Context) {
        self.confirmations.add(note.0, self.house.clock.now());
        self.arm(ctx);
    }
}

/// A group commit takes up to 256 waiting commands; twice that keeps the disk busy while one is
/// under way, and a full mailbox is refused at once.
const MAILBOX_MAX: usize = 512;

/// Cold entities kept for whoever comes next: a token, an identity, a license's head.
const COLD_MAX: usize = 256;

/// One wheel tick: what is lost together is one event.
const PRESENCE_BATCH_MS: u64 = 1_000;

/// How often a quiet tenant looks whether it may sleep.
const IDLE_CHECK_MS: u64 = 15_000;

/// Long enough for a person between two pages, short enough that a million tenants cost nothing.
const SLEEP_AFTER_MS: u64 = 60_000;
