//! What nobody asks for and must happen all the same: deadlines of sleeping tenants, and runtimes
//! that did not come back after a restart.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

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
        let mut swept = Swept::default();
        while let Err(error) = self.sweep(&mut swept).await {
            self.sweep_later(&error).await;
        }
        while !swept.left.is_empty() {
            tracing::warn!(
                runtimes = swept.left.len(),
                "silent runtimes are not marked as lost yet"
            );
            tokio::time::sleep(SWEEP_AGAIN).await;
            self.sweep_left(&mut swept).await;
        }
        swept.lost
    }

    async fn sweep_later(&self, error: &ReadError) {
        tracing::warn!(%error, "silent runtimes could not be looked for");
        tokio::time::sleep(SWEEP_AGAIN).await;
    }

    /// Marks as lost what the log calls active and nobody has heard of since the start: those of
    /// one tenant together. Called [`grace_after_start`](Self::grace_after_start) after it.
    ///
    /// # Errors
    /// [`ReadError`]; what was done until then stands in `swept`, and a sweep that is begun anew does
    /// the rest.
    pub async fn sweep(&self, swept: &mut Swept) -> Result<(), ReadError> {
        let mut after = None;
        let mut silent: Vec<Key> = Vec::new();
        loop {
            let page = self.house().backend.online(after, PAGE).await?;
            after = page.last().copied();
            let full = page.len() == PAGE;
            let unheard = |key: &Key| self.alive(key.0, key.1).is_none();
            silent.extend(page.into_iter().filter(unheard));
            // The index is in the order of tenants: the last one's may go on in the next page.
            let open = match silent.last().filter(|_| full && silent.len() < SILENT_MAX) {
                Some((last, _)) => silent.partition_point(|(tenant, _)| tenant < last),
                None => silent.len(),
            };
            let rest = silent.split_off(open);
            self.mark_all(&silent, swept).await;
            silent = rest;
            if !full {
                self.shared.expected.store(0, Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// Marks those of whom it is not known that it was done. What became durable behind an unknown
    /// outcome stands in no index any more: it is asked of the tenant.
    async fn sweep_left(&self, swept: &mut Swept) {
        let left: Vec<Key> = std::mem::take(&mut swept.left).into_iter().collect();
        self.mark_all(&left, swept).await;
    }

    /// Marks those that nobody has heard of, in the order of their tenants.
    async fn mark_all(&self, runtimes: &[Key], swept: &mut Swept) {
        for of_one_tenant in runtimes.chunk_by(|one, other| one.0 == other.0) {
            for some in of_one_tenant.chunks(SILENT_MAX) {
                self.mark_lost(some, swept).await;
            }
        }
    }

    async fn mark_lost(&self, runtimes: &[Key], swept: &mut Swept) {
        // Whoever came back while the index was read is heard.
        let unheard = |key: &&Key| self.alive(key.0, key.1).is_none();
        let silent: Vec<Key> = runtimes.iter().filter(unheard).copied().collect();
        let Some((tenant, _)) = silent.first().copied() else {
            return;
        };
        let ids = silent.iter().map(|(_, runtime)| *runtime).collect();
        match self.try_mark_lost(tenant, ids).await {
            Ok(state) => {
                let found = silent.iter().filter_map(|(_, id)| state.runtime(*id));
                for record in found.filter(|record| record.lost) {
                    let key = (tenant, record.id);
                    self.shared.lost.note(key, record.runtime_type);
                }
                swept.lost += silent.len();
            }
            Err(error) => {
                tracing::debug!(tenant.id = %tenant, %error, "silent runtimes were not marked as lost");
                swept.left.extend(silent);
            }
        }
    }

    async fn try_mark_lost(
        &self,
        tenant: TenantId,
        runtimes: Vec<RuntimeId>,
    ) -> Result<State, TenantError> {
        let house = self.house();
        let meta = Meta {
            actor: ActorRef::system(),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(house.clock.now(), house.random.id_bytes()),
            idempotency: None,
        };
        let handle = self.tenant(tenant).await?;
        let executed = handle.execute(Command::MarkLost { runtimes }, meta).await?;
        Ok(executed.state)
    }
}

type Key = (TenantId, RuntimeId);

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Runtimes that were marked as lost.
    pub lost: usize,
    /// Silent ones of whom it is not known that what says so is durable.
    left: BTreeSet<Key>,
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
