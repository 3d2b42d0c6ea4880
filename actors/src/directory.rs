//! Where every tenant and every live runtime is found, and woken.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use provost_kernel::{Command, EntityKey, State};
use provost_protocol::{RuntimeId, TenantId, entity::RuntimeType};

use self::{lost::Lost, slots::Slots, wake::Waking};
use crate::{
    Executed, Guardian, House, LiveRuntime, Meta, RestartPolicy, RuntimeHandle, Spawner,
    TenantError, TenantHandle,
};

mod birth;
mod lost;
mod slots;
mod wake;
mod watch;

pub use watch::Swept;

/// Where every tenant and every live runtime is found. Cheap to clone, usable from every thread.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

/// A directory that does not keep itself alive, for what it owns.
pub(crate) type WeakDirectory = Weak<Shared>;

pub(crate) struct Shared {
    /// Tells this directory's wheels from another's on the same thread.
    number: u64,
    house: Arc<House>,
    spawner: Spawner,
    policy: RestartPolicy,
    tenants: Slots<TenantId, TenantHandle>,
    runtimes: Slots<(TenantId, RuntimeId), RuntimeHandle>,
    lost: Lost,
    /// Runtimes that the log called active at the start: expected back until they are swept.
    expected: AtomicUsize,
}

impl Directory {
    /// Makes an empty directory.
    #[must_use]
    pub fn new(house: Arc<House>, spawner: Spawner) -> Self {
        Self::with_policy(house, spawner, RestartPolicy::default())
    }

    /// Makes an empty directory whose actors are restarted by another policy.
    #[must_use]
    pub fn with_policy(house: Arc<House>, spawner: Spawner, policy: RestartPolicy) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let shared = Shared {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            house,
            spawner,
            policy,
            tenants: Slots::new(TenantHandle::is_asleep),
            runtimes: Slots::new(RuntimeHandle::is_asleep),
            lost: Lost::default(),
            expected: AtomicUsize::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn from_weak(weak: &WeakDirectory) -> Option<Self> {
        weak.upgrade().map(|shared| Self { shared })
    }

    /// What every actor shares.
    #[must_use]
    pub fn house(&self) -> &Arc<House> {
        &self.shared.house
    }

    /// The arbiters, and which tenant lives on which.
    #[must_use]
    pub fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    /// Finds a tenant that exists, waking it if it sleeps.
    ///
    /// # Errors
    /// [`TenantError::NotFound`] before the tenant's first event; [`TenantError::Quarantined`]
    /// after too many crashes.
    pub async fn tenant(&self, id: TenantId) -> Result<TenantHandle, TenantError> {
        self.found(id, Vec::new).await
    }

    /// Finds the tenant of a runtime that calls. One that sleeps is woken with the runtime's record
    /// at hand, which is looked at next.
    pub(crate) async fn tenant_of(
        &self,
        tenant: TenantId,
        runtime: RuntimeId,
    ) -> Result<TenantHandle, TenantError> {
        self.found(tenant, || vec![EntityKey::Runtime(runtime)])
            .await
    }

    /// Finds a tenant that a shared runtime of another is attached to. Who is not attached wakes
    /// nobody and cannot tell a tenant from none, nor from one that is kept down.
    pub(crate) async fn attached(
        &self,
        id: TenantId,
        runtime: RuntimeId,
    ) -> Result<TenantHandle, TenantError> {
        let attachment = EntityKey::Attachment(runtime);
        match self.shared.tenants.awake(&id) {
            Some(awake) if awake.view().attachment(runtime).is_none() => {
                return Err(TenantError::NotFound);
            }
            Some(_) => {}
            None => self.require_entity(id, attachment).await?,
        }
        self.tenant(id).await
    }

    /// The state of a tenant that is awake; never waits.
    pub(crate) fn view_of(&self, id: TenantId) -> Option<Arc<State>> {
        let awake = self.shared.tenants.awake(&id)?;
        awake.is_served().then(|| awake.view())
    }

    /// Begins a tenant's log with a command that creates it.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn create(
        &self,
        id: TenantId,
        command: Command,
        meta: Meta,
    ) -> Result<(TenantHandle, Executed), TenantError> {
        let handle = self.awake(id, Waking::New).await?;
        let executed = handle.execute(command, meta).await?;
        Ok((handle, executed))
    }

    /// Finds a runtime of a tenant, bringing its actor to life.
    ///
    /// # Errors
    /// [`TenantError::NotFound`] where the tenant has no such runtime.
    pub async fn runtime(
        &self,
        tenant: &TenantHandle,
        id: RuntimeId,
    ) -> Result<RuntimeHandle, TenantError> {
        let key = (tenant.id(), id);
        if let Some(awake) = self.shared.runtimes.awake(&key) {
            return Ok(awake);
        }
        let slot = self.shared.runtimes.slot(key);
        let born = slot
            .get_or_try_init(|| self.bear_runtime(tenant.clone(), id))
            .await
            .cloned();
        if born.is_err() {
            self.shared.runtimes.give_back(&key, &slot);
        }
        born
    }

    /// What is volatile about a runtime, if it is alive here.
    #[must_use]
    pub fn live(&self, tenant: TenantId, runtime: RuntimeId) -> Option<LiveRuntime> {
        self.alive(tenant, runtime).map(|handle| handle.live())
    }

    /// Tells a runtime that is alive here that an operator has dealt with its copies.
    pub fn copies_resolved(&self, tenant: TenantId, runtime: RuntimeId) {
        if let Some(handle) = self.alive(tenant, runtime) {
            handle.copies_resolved();
        }
    }

    /// Every live runtime, for the figures of the whole fleet.
    #[must_use]
    pub fn fleet(&self) -> Vec<LiveRuntime> {
        let awake = self.shared.runtimes.all();
        awake.iter().map(RuntimeHandle::live).collect()
    }

    /// How many runtimes are alive here, lately were, or are expected back after a start.
    #[must_use]
    pub fn fleet_size(&self) -> usize {
        let expected = self.shared.expected.load(Ordering::Relaxed);
        self.shared.runtimes.len().max(expected)
    }

    /// How many runtimes of each type were lost since the start and have not come back; besides
    /// those, [`fleet`](Self::fleet) holds the lost whose connection is still open.
    #[must_use]
    pub fn lost(&self) -> BTreeMap<RuntimeType, usize> {
        self.shared.lost.counts()
    }

    /// How many tenants are awake.
    #[must_use]
    pub fn tenants_awake(&self) -> usize {
        self.shared.tenants.all().len()
    }

    /// Has every connection look again whether it may go on: a root was retired, which no revision
    /// of any tenant shows.
    pub fn look_again(&self) {
        for tenant in self.shared.tenants.all() {
            tenant.look_again();
        }
    }

    /// Says that a recovery was refused because its number was used already: if the runtime is
    /// alive here and goes on, there are two.
    pub fn recovery_refused(&self, tenant: TenantId, runtime: RuntimeId, from: SocketAddr) {
        if let Some(handle) = self.alive(tenant, runtime) {
            handle.recovery_refused(from);
        }
    }

    pub(crate) fn alive(&self, tenant: TenantId, runtime: RuntimeId) -> Option<RuntimeHandle> {
        self.shared.runtimes.awake(&(tenant, runtime))
    }

    /// Asks the store by key: what does not exist gets no actor.
    async fn require_entity(&self, id: TenantId, key: EntityKey) -> Result<(), TenantError> {
        let found = self.shared.house.backend.entities(id, vec![key]).await?;
        let exists = found.iter().any(|(_, entity)| entity.is_some());
        exists.then_some(()).ok_or(TenantError::NotFound)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("number", &self.shared.number)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Starts a runtime's guardian beside its tenant's.
    async fn bear_runtime(
        &self,
        tenant: TenantHandle,
        id: RuntimeId,
    ) -> Result<RuntimeHandle, TenantError> {
        let mut view = tenant.view();
        if view.runtime(id).is_none() {
            view = Arc::new(tenant.look(vec![EntityKey::Runtime(id)]).await?);
        }
        let record = view.runtime(id).ok_or(TenantError::NotFound)?;
        let place = self.shared.spawner.place(&tenant.id());
        let live = Arc::new(birth::live(tenant.id(), record, self.house().clock.now()));
        let (weak, policy) = (Arc::downgrade(&self.shared), self.shared.policy);
        let shown = Arc::clone(&live);
        let born = self.shared.spawner.call_on(place, move || {
            let of = tenant.id();
            let span = move || tracing::info_span!("runtime", tenant.id = %of, runtime.id = %id);
            Guardian::of_many("runtime", span)
                .with_policy(policy)
                .guard(move |_| {
                    birth::runtime(weak.clone(), tenant.clone(), id, Arc::clone(&shown))
                })
        });
        Ok(RuntimeHandle::new(born.await?, live))
    }
}
