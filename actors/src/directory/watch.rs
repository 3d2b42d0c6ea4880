//! What nobody asks for and must happen all the same: deadlines of sleeping tenants, and runtimes
//! that did not come back after a restart.

use std::time::Duration;

use provost_kernel::{Command, liveness::Rhythm};
use provost_protocol::{
    CorrelationId, RuntimeId, TenantId,
    envelope::{ActorRef, Source},
};
use provost_store::ReadError;

use super::Directory;
use crate::{Meta, TenantError};

impl Directory {
    /// Wakes the tenants whose deadline has come; says how many.
    ///
    /// The due index is durable: what was due while the kernel was down is woken at the next look.
    ///
    /// # Errors
    /// [`ReadError`] of the index; a tenant that does not wake is tried again at the next look.
    pub async fn wake_due(&self) -> Result<usize, ReadError> {
        let due = self
            .house()
            .backend
            .due(self.house().clock.now(), DUE_MAX)
            .await?;
        let mut woken = 0;
        for (_, tenant) in due {
            match self.tenant(tenant).await {
                Ok(handle) => {
                    handle.due();
                    woken += 1;
                }
                Err(error) => {
                    tracing::warn!(tenant.id = %tenant, %error, "a due tenant did not wake")
                }
            }
        }
        Ok(woken)
    }

    /// How long after a start nobody may be called lost: a full grace of the whole fleet.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn grace_after_start(&self) -> Result<Duration, ReadError> {
        let mut fleet = 0_u64;
        let mut after = None;
        loop {
            let page = self.house().backend.online(after, PAGE).await?;
            fleet += u64::try_from(page.len()).unwrap_or(u64::MAX);
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(*last),
                _ => return Ok(Duration::from_millis(Rhythm::for_fleet(fleet, 0).grace_ms)),
            }
        }
    }

    /// Marks as lost what the log calls active and nobody has heard of since the start. Called
    /// once, [`grace_after_start`](Self::grace_after_start) after it. Says how many.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn sweep(&self) -> Result<usize, ReadError> {
        let mut lost = 0;
        let mut after = None;
        loop {
            let page = self.house().backend.online(after, PAGE).await?;
            after = page.last().copied();
            let full = page.len() == PAGE;
            let silent: Vec<(TenantId, RuntimeId)> = page
                .into_iter()
                .filter(|(tenant, runtime)| self.alive(*tenant, *runtime).is_none())
                .collect();
            for of_one_tenant in silent.chunk_by(|one, other| one.0 == other.0) {
                let runtimes: Vec<RuntimeId> = of_one_tenant.iter().map(|pair| pair.1).collect();
                let (tenant, count) = (of_one_tenant[0].0, runtimes.len());
                match self.mark_lost(tenant, runtimes).await {
                    Ok(()) => lost += count,
                    Err(error) => {
                        tracing::warn!(tenant.id = %tenant, %error, "silent runtimes were not marked as lost")
                    }
                }
            }
            if !full {
                return Ok(lost);
            }
        }
    }

    async fn mark_lost(
        &self,
        tenant: TenantId,
        runtimes: Vec<RuntimeId>,
    ) -> Result<(), TenantError> {
        let house = self.house();
        let meta = Meta {
            actor: ActorRef::system(),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(house.clock.now(), house.random.id_bytes()),
            idempotency: None,
        };
        let handle = self.tenant(tenant).await?;
        handle
            .execute(Command::MarkLost { runtimes }, meta)
            .await
            .map(drop)
    }
}

/// Tenants woken at one look; the rest are still due at the next, a second later.
const DUE_MAX: usize = 256;

/// Runtimes read at once: a page is some 20 KiB.
const PAGE: usize = 256;
