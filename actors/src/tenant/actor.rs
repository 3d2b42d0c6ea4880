//! The shell around one tenant's state.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::{Actor, Context, Handler};
use arc_swap::ArcSwap;
use provost_kernel::{EntityKey, State};
use provost_protocol::{TenantId, Timestamp};
use provost_store::Loaded;
use tokio::sync::watch;

use super::{
    TenantError,
    commit::InFlight,
    facts::Needs,
    message::{Due, Hold, Look, Ready, Release},
    queue::Queue,
    recent::Recent,
    upkeep::Upkeep,
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
    /// Those who were just answered get a turn before the next append.
    pub(super) gathering: bool,
    pub(super) waiting: Queue,
    /// Commands whose facts are being read.
    pub(super) loading: usize,
    pub(super) recent: Recent,
    /// Cold entities that are loaded, or known to be absent.
    pub(super) known: HashSet<EntityKey>,
    /// Cold entities that must stay loaded, and for how many.
    pub(super) held: BTreeMap<EntityKey, usize>,
    pub(super) upkeep: Upkeep,
    pub(super) last_used: Timestamp,
}

/// What readers on every thread see of a tenant.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<State>,
    loaded: AtomicBool,
    pub(super) revision: watch::Sender<u64>,
}

impl Published {
    pub(crate) fn new(tenant: TenantId) -> Self {
        let view = ArcSwap::from_pointee(State::new(tenant, 0));
        Self {
            view,
            loaded: AtomicBool::new(false),
            revision: watch::Sender::new(0),
        }
    }

    pub(super) fn view(&self) -> Arc<State> {
        self.view.load_full()
    }

    pub(super) fn glance(&self) -> arc_swap::Guard<Arc<State>> {
        self.view.load()
    }

    pub(super) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Wakes those who follow the revision though it is the same.
    pub(super) fn look_again(&self) {
        self.revision.send_modify(|_| {});
    }

    /// Whether anything was shown yet.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Shows a committed state; the view first, so that who hears of a revision sees it.
    pub(crate) fn publish(&self, state: &State) {
        self.view.store(Arc::new(state.clone()));
        self.loaded.store(true, Ordering::Release);
        let revision = state.revision();
        self.revision.send_if_modified(|held| {
            let changed = *held != revision;
            *held = revision;
            changed
        });
    }
}

/// What an actor begins with.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) loaded: Loaded,
    /// Cold entities that were asked for with it: what is not in the state does not exist.
    pub(crate) known: Vec<EntityKey>,
}

impl From<Loaded> for Ahead {
    fn from(loaded: Loaded) -> Self {
        Self {
            loaded,
            known: Vec::new(),
        }
    }
}

impl TenantActor {
    pub(crate) fn new(
        house: Arc<House>,
        published: Arc<Published>,
        exit: Exit,
        Ahead { loaded, known }: Ahead,
    ) -> Self {
        let now = house.clock.now();
        let ids = house.backend.ids(loaded.state.tenant_id());
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
            gathering: false,
            waiting: Queue::default(),
            loading: 0,
            recent: Recent::new(ids),
            known: known.into_iter().collect(),
            held: BTreeMap::new(),
            upkeep: Upkeep::default(),
            last_used: now,
        }
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
        let needs = Needs::entities(keys.clone());
        let answer = move |actor: &mut Self, outcome: Result<(), TenantError>, _: &mut _| {
            // Who has left does not know that something is held, and would never release it.
            if outcome.is_err() || reply.is_abandoned() {
                actor.let_go(keys);
            }
            reply.send(outcome.map(|()| actor.committed.clone()));
        };
        self.with_facts(needs, answer, ctx);
    }
}

impl Handler<Ask<Look>> for TenantActor {
    type Result = ();

    fn handle(&mut self, Ask { message, reply }: Ask<Look>, ctx: &mut Self::Context) {
        let answer = move |actor: &mut Self, outcome: Result<(), TenantError>, _: &mut _| {
            reply.send(outcome.map(|()| actor.committed.clone()));
        };
        self.with_facts(Needs::entities(message.0), answer, ctx);
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

/// A group commit takes up to 256 waiting commands; twice that keeps the disk busy while one is
/// under way, and a full mailbox is refused at once.
const MAILBOX_MAX: usize = 512;
