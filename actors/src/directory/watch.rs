//! What nobody asks for and must happen all the same: deadlines of sleeping tenants, and runtimes
//! that did not come back after a restart.

use std::{sync::atomic::Ordering, time::Duration};

use provost_kernel::{Command, State, liveness::Rhythm};
use provost_protocol::{
    CorrelationId, RuntimeId, TenantId,
    entity::SecurityLevel,
    envelope::{ActorRef, Source},
};
use provost_store::ReadError;

use super::Directory;
use crate::{Meta, TenantError, wheel::TICK};

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

    /// How long after a start nobody may be called lost: a full grace of the whole fleet. From here
    /// to the [`sweep`](Self::sweep) the fleet counts as large as the log says: whoever comes back
    /// is borne for as long as it was told before the start.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn grace_after_start(&self) -> Result<Duration, ReadError> {
        let mut fleet = 0_usize;
        let mut after = None;
        loop {
            let page = self.house().backend.online(after, PAGE).await?;
            fleet += page.len();
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(*last),
                _ => break,
            }
        }
        self.shared.expected.store(fleet, Ordering::Relaxed);
        let fleet = u64::try_from(fleet).unwrap_or(u64::MAX);
        let rhythm = Rhythm::for_fleet(fleet, SecurityLevel::Standard);
        Ok(Duration::from_millis(rhythm.grace_ms))
    }

    /// Waits for a full grace since the start, then marks as lost who did not come back, again and
    /// again until all of them are. Says how many.
    ///
    /// It is waited in ticks: while the kernel slept it was deaf, and nobody could come back.
    pub async fn sweep_after_grace(&self) -> usize {
        let grace = loop {
            match self.grace_after_start().await {
                Ok(grace) => break grace,
                Err(error) => self.sweep_later(&error).await,
            }
        };
        for _ in 0..=grace.as_secs() {
            tokio::time::sleep(TICK).await;
        }
        let mut lost = 0;
        loop {
            match self.sweep().await {
                Ok(Swept {
                    lost: more,
                    left: 0,
                }) => return lost + more,
                Ok(swept) => {
                    lost += swept.lost;
                    tokio::time::sleep(SWEEP_AGAIN).await;
                }
                Err(error) => self.sweep_later(&error).await,
            }
        }
    }

    async fn sweep_later(&self, error: &ReadError) {
        tracing::warn!(%error, "silent runtimes could not be looked for");
        tokio::time::sleep(SWEEP_AGAIN).await;
    }

    /// Marks as lost what the log calls active and nobody has heard of since the start: those of
    /// one tenant together. Called [`grace_after_start`](Self::grace_after_start) after it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn sweep(&self) -> Result<Swept, ReadError> {
        let mut swept = Swept::default();
        let mut after = None;
        let mut silent: Vec<(TenantId, RuntimeId)> = Vec::new();
        loop {
            let page = self.house().backend.online(after, PAGE).await?;
            after = page.last().copied();
            let full = page.len() == PAGE;
            let unheard = page
                .into_iter()
                .filter(|(tenant, runtime)| self.alive(*tenant, *runtime).is_none());
            silent.extend(unheard);
            // The index is in the order of tenants: the last one's may go on in the next page.
            let open = match silent.last().filter(|_| full && silent.len() < SILENT_MAX) {
                Some((last, _)) => silent.partition_point(|(tenant, _)| tenant < last),
                None => silent.len(),
            };
            let rest = silent.split_off(open);
            for of_one_tenant in silent.chunk_by(|one, other| one.0 == other.0) {
                let runtimes: Vec<RuntimeId> = of_one_tenant.iter().map(|pair| pair.1).collect();
                self.mark_lost(of_one_tenant[0].0, runtimes, &mut swept)
                    .await;
            }
            silent = rest;
            if !full {
                self.shared.expected.store(0, Ordering::Relaxed);
                return Ok(swept);
            }
        }
    }

    async fn mark_lost(&self, tenant: TenantId, mut runtimes: Vec<RuntimeId>, swept: &mut Swept) {
        // Whoever came back while the index was read is heard.
        runtimes.retain(|runtime| self.alive(tenant, *runtime).is_none());
        let count = runtimes.len();
        match self.try_mark_lost(tenant, &runtimes).await {
            Ok(state) => {
                let found = runtimes.iter().filter_map(|id| state.runtime(*id));
                for record in found.filter(|record| record.lost) {
                    let key = (tenant, record.id);
                    self.shared.lost.note(key, record.runtime_type);
                }
                swept.lost += count;
            }
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "silent runtimes were not marked as lost");
                swept.left += count;
            }
        }
    }

    async fn try_mark_lost(
        &self,
        tenant: TenantId,
        runtimes: &[RuntimeId],
    ) -> Result<State, TenantError> {
        let house = self.house();
        let meta = Meta {
            actor: ActorRef::system(),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(house.clock.now(), house.random.id_bytes()),
            idempotency: None,
        };
        let handle = self.tenant(tenant).await?;
        let runtimes = runtimes.to_vec();
        let executed = handle.execute(Command::MarkLost { runtimes }, meta).await?;
        Ok(executed.state)
    }
}

/// What a sweep came to, in runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Marked as lost.
    pub lost: usize,
    /// Silent, but what says so could not be written.
    pub left: usize,
}

/// A disk that is full, or a tenant that is busy, is looked at again so soon.
const SWEEP_AGAIN: Duration = Duration::from_secs(5);

/// Tenants woken at one look; the rest are still due at the next, a second later.
const DUE_MAX: usize = 256;

/// Runtimes read at once: a page is some 20 KiB.
const PAGE: usize = 256;

/// Runtimes of one tenant that are marked at once: more are several events in any case, and all of
/// them are loaded for it.
const SILENT_MAX: usize = 2_000;
