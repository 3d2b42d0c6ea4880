//! How a sleeping tenant is woken: in one read and one visit to its arbiter, so that whoever asks
//! first waits little longer than for any other answer.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use provost_kernel::EntityKey;
use provost_protocol::TenantId;

use super::Directory;
use crate::{
    Guardian, TenantError, TenantHandle,
    tenant::{Ahead, Published, TenantActor},
};

/// Which tenant is woken.
pub(super) enum Waking {
    /// One without a log yet, which the first command begins.
    New,
    /// One that must exist, with cold entities that are looked at next.
    Existing(Vec<EntityKey>),
}

impl Directory {
    /// Finds a tenant that exists; `cold` is asked for together with one that sleeps.
    pub(super) async fn found(
        &self,
        id: TenantId,
        cold: impl FnOnce() -> Vec<EntityKey>,
    ) -> Result<TenantHandle, TenantError> {
        let handle = match self.shared.tenants.awake(&id) {
            Some(handle) => usable(handle).await?,
            None => self.awake(id, Waking::Existing(cold())).await?,
        };
        if handle.view().tenant().is_none() {
            return Err(TenantError::NotFound);
        }
        Ok(handle)
    }

    /// Finds a tenant that is awake, or wakes it.
    pub(super) async fn awake(
        &self,
        id: TenantId,
        waking: Waking,
    ) -> Result<TenantHandle, TenantError> {
        let slot = self.shared.tenants.slot(id);
        match slot.get_or_try_init(|| self.wake(id, waking)).await {
            Ok(handle) => usable(handle.clone()).await,
            Err(error) => {
                self.shared.tenants.give_back(&id, &slot);
                Err(error)
            }
        }
    }

    /// Wakes a tenant nobody else wakes: the slot's lock is held.
    async fn wake(&self, id: TenantId, waking: Waking) -> Result<TenantHandle, TenantError> {
        let cold = match waking {
            Waking::New => return self.bear_tenant(id, None).await,
            Waking::Existing(cold) => cold,
        };
        match self.read_ahead(id, cold).await {
            Some(ahead) if ahead.loaded.state.tenant().is_none() => Err(TenantError::NotFound),
            Some(ahead) => self.bear_tenant(id, Some(ahead)).await,
            // What can be asked for but not be loaded is for its guardian to try and to judge.
            None => {
                self.require_entity(id, EntityKey::Tenant).await?;
                self.bear_tenant(id, None).await
            }
        }
    }

    /// Reads all that a waking tenant needs, at once: whether it exists, its state, and what it is
    /// asked for next. Nobody writes its log meanwhile: that is its actor's alone.
    async fn read_ahead(&self, id: TenantId, cold: Vec<EntityKey>) -> Option<Ahead> {
        let backend = &self.shared.house.backend;
        let load = AssertUnwindSafe(async { backend.load(id, cold.clone()).await });
        let loaded = load.catch_unwind().await.ok()?.ok()?;
        Some(Ahead {
            loaded,
            known: cold,
        })
    }

    /// Starts a tenant's guardian on its arbiter. Where its state was read ahead, it is shown at
    /// once, and the guardian's first actor begins with it.
    async fn bear_tenant(
        &self,
        id: TenantId,
        ahead: Option<Ahead>,
    ) -> Result<TenantHandle, TenantError> {
        let place = self.shared.spawner.place(&id);
        let house = Arc::clone(&self.shared.house);
        let published = Arc::new(Published::new(id));
        if let Some(ahead) = &ahead {
            published.publish(&ahead.loaded.state);
        }
        let (policy, shown) = (self.shared.policy, Arc::clone(&published));
        let born = self.shared.spawner.call_on(place, move || {
            let span = tracing::info_span!("tenant", tenant.id = %id);
            let mut ahead = ahead;
            Guardian::new("tenant", span)
                .with_policy(policy)
                .guard(move |life| {
                    let (house, published) = (Arc::clone(&house), Arc::clone(&shown));
                    let ahead = ahead.take();
                    async move {
                        let ahead = match ahead {
                            Some(ahead) => ahead,
                            None => Ahead::from(house.backend.load(id, Vec::new()).await?),
                        };
                        Ok(TenantActor::new(house, published, life.exit, ahead))
                    }
                })
        });
        Ok(TenantHandle::new(id, born.await?, published))
    }
}

/// Waits for a tenant whose guardian is in its place before it is loaded: one that never loads is
/// quarantined once, and not built anew for everybody who asks.
async fn usable(handle: TenantHandle) -> Result<TenantHandle, TenantError> {
    if !handle.is_loaded() {
        handle.ready().await?;
    }
    if handle.is_quarantined() {
        return Err(TenantError::Quarantined);
    }
    Ok(handle)
}
