//! Where every tenant and every live runtime is found, and woken.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use provost_kernel::{Command, EntityKey};
use provost_protocol::{RuntimeId, TenantId};
use tokio::sync::OnceCell;

use crate::{
    Executed, Guardian, House, LiveRuntime, Meta, RestartPolicy, RuntimeHandle, Spawner,
    TenantError, TenantHandle,
    tenant::{Published, TenantActor},
};

mod birth;
mod watch;

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
    tenants: Mutex<HashMap<TenantId, Slot<TenantHandle>>>,
    runtimes: Mutex<HashMap<(TenantId, RuntimeId), Slot<RuntimeHandle>>>,
}

/// Filled by whoever comes first; the others wait for it.
type Slot<T> = Arc<OnceCell<T>>;

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
            tenants: Mutex::default(),
            runtimes: Mutex::default(),
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
    /// [`TenantError::NotFound`] before the tenant's first event.
    pub async fn tenant(&self, id: TenantId) -> Result<TenantHandle, TenantError> {
        let handle = self.awake(id).await?;
        if handle.view().tenant().is_none() {
            return Err(TenantError::NotFound);
        }
        Ok(handle)
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
        let handle = self.awake(id).await?;
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
        let slot = slot_of(&self.shared.runtimes, key, RuntimeHandle::is_asleep);
        let born = slot
            .get_or_try_init(|| self.bear_runtime(tenant.clone(), id))
            .await?;
        Ok(born.clone())
    }

    /// What is volatile about a runtime, if it is alive here.
    #[must_use]
    pub fn live(&self, tenant: TenantId, runtime: RuntimeId) -> Option<LiveRuntime> {
        self.alive(tenant, runtime).map(|handle| handle.live())
    }

    /// Every live runtime, for the figures of the whole fleet.
    #[must_use]
    pub fn fleet(&self) -> Vec<LiveRuntime> {
        let mut runtimes = lock(&self.shared.runtimes);
        runtimes.retain(|_, slot| !slot.get().is_some_and(RuntimeHandle::is_asleep));
        runtimes
            .values()
            .filter_map(|slot| slot.get().map(RuntimeHandle::live))
            .collect()
    }

    /// How many runtimes are alive here, or lately were.
    #[must_use]
    pub fn fleet_size(&self) -> usize {
        lock(&self.shared.runtimes).len()
    }

    /// How many tenants are awake.
    #[must_use]
    pub fn tenants_awake(&self) -> usize {
        let mut tenants = lock(&self.shared.tenants);
        tenants.retain(|_, slot| !slot.get().is_some_and(TenantHandle::is_asleep));
        tenants.len()
    }

    pub(crate) fn alive(&self, tenant: TenantId, runtime: RuntimeId) -> Option<RuntimeHandle> {
        let runtimes = lock(&self.shared.runtimes);
        let handle = runtimes.get(&(tenant, runtime))?.get()?;
        (!handle.is_asleep()).then(|| handle.clone())
    }

    async fn awake(&self, id: TenantId) -> Result<TenantHandle, TenantError> {
        let slot = slot_of(&self.shared.tenants, id, TenantHandle::is_asleep);
        let handle = slot.get_or_try_init(|| self.bear_tenant(id)).await?;
        Ok(handle.clone())
    }
}

/// The key's slot; a new one where there is none, or what is in it has gone to sleep.
fn slot_of<K: std::hash::Hash + Eq, T>(
    slots: &Mutex<HashMap<K, Slot<T>>>,
    key: K,
    is_asleep: impl Fn(&T) -> bool,
) -> Slot<T> {
    let mut slots = lock(slots);
    let slot = slots.entry(key).or_default();
    if slot.get().is_some_and(is_asleep) {
        *slot = Slot::default();
    }
    Arc::clone(slot)
}

/// A map is whole at every moment, whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("number", &self.shared.number)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Starts a tenant's guardian on its arbiter and waits until it is loaded.
    async fn bear_tenant(&self, id: TenantId) -> Result<TenantHandle, TenantError> {
        let place = self.shared.spawner.place(&id);
        let house = Arc::clone(&self.shared.house);
        let published = Arc::new(Published::new(id));
        let (policy, shown) = (self.shared.policy.clone(), Arc::clone(&published));
        let born = self.shared.spawner.call_on(place, move || {
            let span = tracing::info_span!("tenant", tenant.id = %id);
            Guardian::new("tenant", span)
                .with_policy(policy)
                .guard(move |life| {
                    let (house, published) = (Arc::clone(&house), Arc::clone(&shown));
                    async move {
                        let loaded = house.backend.load(id).await?;
                        Ok(TenantActor::new(house, published, life.exit, loaded))
                    }
                })
        });
        let handle = TenantHandle::new(id, born.await?, published);
        handle.ready().await?;
        Ok(handle)
    }

    /// Starts a runtime's guardian beside its tenant's.
    async fn bear_runtime(
        &self,
        tenant: TenantHandle,
        id: RuntimeId,
    ) -> Result<RuntimeHandle, TenantError> {
        let found = tenant.look(vec![EntityKey::Runtime(id)]).await?;
        let record = found.runtime(id).ok_or(TenantError::NotFound)?;
        let place = self.shared.spawner.place(&tenant.id());
        let live = Arc::new(birth::live(tenant.id(), record));
        let (weak, policy) = (Arc::downgrade(&self.shared), self.shared.policy.clone());
        let shown = Arc::clone(&live);
        let born = self.shared.spawner.call_on(place, move || {
            let span = tracing::info_span!("runtime", tenant.id = %tenant.id(), runtime.id = %id);
            Guardian::new("runtime", span)
                .with_policy(policy)
                .guard(move |_| {
                    birth::runtime(weak.clone(), tenant.clone(), id, Arc::clone(&shown))
                })
        });
        Ok(RuntimeHandle::new(born.await?, live))
    }
}
