//! The tenants a session acts for: it hears when their desired state changes.
//!
//! Level-triggered: a watch holds the newest revision only, so that a slow session misses
//! steps, never the last one.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use lru::LruCache;
use provost_protocol::{Code, Problem, TenantId, wire::DesiredState};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

use crate::{Gateway, Known, TenantHandle};

/// The tenants a session acts for.
pub(super) struct Interests {
    gateway: Gateway,
    /// The session's own tenant is touched with every other, so that it never falls out.
    own: TenantId,
    followed: LruCache<TenantId, Followed>,
    wanted: Vec<TenantId>,
    changed: mpsc::Sender<TenantId>,
    changes: mpsc::Receiver<TenantId>,
}

struct Followed {
    sent: u64,
    /// Ends with the session.
    _task: Task,
}

/// A task that ends when it is dropped.
struct Task(AbortHandle);

impl Interests {
    pub(super) fn new(gateway: Gateway, own: TenantId) -> Self {
        let (changed, changes) = mpsc::channel(CHANGES_MAX);
        Self {
            gateway,
            own,
            // Bounded in `keep`: the bounded kind takes all its room at once, for every session.
            followed: LruCache::unbounded(),
            wanted: Vec::new(),
            changed,
            changes,
        }
    }

    /// Follows a tenant from here on, and gives its desired state now.
    pub(super) async fn follow(
        &mut self,
        known: &Known,
        tenant: TenantId,
        held: u64,
    ) -> Result<DesiredState, Problem> {
        let acted = self.gateway.acted_for(known, tenant).await?;
        let task = self.spawn(&acted);
        let state = self.gateway.desired(known, &acted)?;
        let sent = held.max(state.revision);
        self.keep(tenant, Followed { sent, _task: task });
        Ok(state)
    }

    /// A request named this tenant: it is followed at the next turn.
    pub(super) fn want(&mut self, tenant: TenantId) {
        if tenant == self.own {
            return;
        }
        self.followed.promote(&self.own);
        if self.followed.get(&tenant).is_some() || self.wanted.contains(&tenant) {
            return;
        }
        // Where there is no room the next request asks again.
        if self.changed.try_send(tenant).is_ok() {
            self.wanted.push(tenant);
        }
    }

    fn keep(&mut self, tenant: TenantId, followed: Followed) {
        self.followed.promote(&self.own);
        self.followed.put(tenant, followed);
        if self.followed.len() > FOLLOWED_MAX {
            self.followed.pop_lru();
        }
    }

    /// The next tenant whose desired state may have changed.
    pub(super) fn poll_revised(&mut self, cx: &mut Context<'_>) -> Poll<TenantId> {
        match self.changes.poll_recv(cx) {
            Poll::Ready(Some(tenant)) => Poll::Ready(tenant),
            // None cannot be: a sender is held here.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// The desired state, where the session has not sent that revision yet.
    pub(super) async fn news(&mut self, known: &Known, tenant: TenantId) -> Option<DesiredState> {
        self.wanted.retain(|wanted| *wanted != tenant);
        let acted = match self.gateway.acted_for(known, tenant).await {
            Ok(acted) => acted,
            Err(problem) if problem.code == Code::IdentityMismatch => return None,
            Err(_) => {
                self.again(tenant);
                return None;
            }
        };
        if !self.followed.contains(&tenant) {
            let _task = self.spawn(&acted);
            self.keep(tenant, Followed { sent: 0, _task });
        }
        let state = self.gateway.desired(known, &acted).ok()?;
        let followed = self.followed.get_mut(&tenant)?;
        if state.revision <= followed.sent {
            return None;
        }
        followed.sent = state.revision;
        Some(state)
    }

    /// Looks at a tenant again in a moment: it could not be asked just now.
    pub(super) fn again(&mut self, tenant: TenantId) {
        self.wanted.retain(|wanted| *wanted != tenant);
        let changed = self.changed.clone();
        drop(actix::spawn(async move {
            tokio::time::sleep(AGAIN_AFTER).await;
            let _ = changed.send(tenant).await;
        }));
    }

    fn spawn(&self, acted: &TenantHandle) -> Task {
        let (tenant, mut revisions) = (acted.id(), acted.revisions());
        let changed = self.changed.clone();
        revisions.mark_unchanged();
        let task: JoinHandle<()> = actix::spawn(async move {
            while revisions.changed().await.is_ok() {
                if changed.send(tenant).await.is_err() {
                    return;
                }
            }
        });
        Task(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A rebuild from the store takes less.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Changes that wait to be looked at: who finds no room waits, and the watch keeps the newest.
const CHANGES_MAX: usize = 64;

/// Tenants one session follows, those of the newest requests: each is kept awake for it. One that
/// fell out is followed again by its next request, and then hears what it missed.
const FOLLOWED_MAX: usize = 2_048;
