//! The tenants a session acts for: it hears when their desired state changes.
//!
//! Level-triggered: a watch holds the newest revision only, so that a slow session misses
//! steps, never the last one.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use lru::LruCache;
use provost_protocol::{Code, Problem, TenantId, wire::DesiredState};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
};

use crate::{Gateway, Known};

/// The tenants a session acts for.
pub(super) struct Interests {
    gateway: Gateway,
    /// The session's own tenant: nearly all follow no other.
    own: TenantId,
    sent: u64,
    revised: Revised,
    others: Option<Box<Others>>,
}

/// Comes with the next revision, and with what the one after it is waited for; never, where nobody
/// can revise any more.
type Revised = Pin<Box<dyn Future<Output = watch::Receiver<u64>>>>;

/// The tenants besides its own, and whatever is to be looked at once more.
struct Others {
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
    /// Follows nobody yet.
    pub(super) fn new(gateway: Gateway, own: TenantId) -> Self {
        Self {
            gateway,
            own,
            sent: 0,
            revised: Box::pin(std::future::pending()),
            others: None,
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
        // Looked at from before its state is: what comes in between is heard.
        let mut revisions = acted.revisions();
        revisions.mark_unchanged();
        let state = self.gateway.desired(known, &acted)?;
        let sent = held.max(state.revision);
        if tenant == self.own {
            self.sent = sent;
            self.revised = revised(revisions);
        } else {
            self.others().keep(tenant, revisions, sent);
        }
        Ok(state)
    }

    /// A request named this tenant: it is followed at the next turn.
    pub(super) fn want(&mut self, tenant: TenantId) {
        if tenant != self.own {
            self.others().want(tenant);
        }
    }

    /// The next tenant whose desired state may have changed.
    pub(super) fn poll_revised(&mut self, cx: &mut Context<'_>) -> Poll<TenantId> {
        if let Poll::Ready(revisions) = self.revised.as_mut().poll(cx) {
            self.revised = revised(revisions);
            return Poll::Ready(self.own);
        }
        let Some(others) = &mut self.others else {
            return Poll::Pending;
        };
        match others.changes.poll_recv(cx) {
            Poll::Ready(Some(tenant)) => Poll::Ready(tenant),
            // None cannot be: a sender is held here.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// The desired state, where the session has not sent that revision yet.
    pub(super) async fn news(&mut self, known: &Known, tenant: TenantId) -> Option<DesiredState> {
        if let Some(others) = &mut self.others {
            others.wanted.retain(|wanted| *wanted != tenant);
        }
        let acted = match self.gateway.acted_for(known, tenant).await {
            Ok(acted) => acted,
            Err(problem) if problem.code == Code::IdentityMismatch => return None,
            Err(_) => {
                self.again(tenant);
                return None;
            }
        };
        if tenant != self.own && !self.others().followed.contains(&tenant) {
            let mut revisions = acted.revisions();
            revisions.mark_unchanged();
            self.others().keep(tenant, revisions, 0);
        }
        let Ok(state) = self.gateway.desired(known, &acted) else {
            self.again(tenant);
            return None;
        };
        let sent = if tenant == self.own {
            &mut self.sent
        } else {
            &mut self.others().followed.get_mut(&tenant)?.sent
        };
        if state.revision <= *sent {
            return None;
        }
        *sent = state.revision;
        Some(state)
    }

    /// Looks at a tenant again in a moment: it could not be asked just now.
    pub(super) fn again(&mut self, tenant: TenantId) {
        let others = self.others();
        others.wanted.retain(|wanted| *wanted != tenant);
        let changed = others.changed.clone();
        drop(actix::spawn(async move {
            tokio::time::sleep(AGAIN_AFTER).await;
            let _ = changed.send(tenant).await;
        }));
    }

    fn others(&mut self) -> &mut Others {
        self.others.get_or_insert_with(|| Box::new(Others::new()))
    }
}

impl Others {
    fn new() -> Self {
        let (changed, changes) = mpsc::channel(CHANGES_MAX);
        Self {
            // Bounded in `keep`: the bounded kind takes all its room at once, for every session.
            followed: LruCache::unbounded(),
            wanted: Vec::new(),
            changed,
            changes,
        }
    }

    fn want(&mut self, tenant: TenantId) {
        if self.followed.get(&tenant).is_some() || self.wanted.contains(&tenant) {
            return;
        }
        // Where there is no room the next request asks again.
        if self.changed.try_send(tenant).is_ok() {
            self.wanted.push(tenant);
        }
    }

    fn keep(&mut self, tenant: TenantId, mut revisions: watch::Receiver<u64>, sent: u64) {
        let changed = self.changed.clone();
        let task: JoinHandle<()> = actix::spawn(async move {
            while revisions.changed().await.is_ok() {
                if changed.send(tenant).await.is_err() {
                    return;
                }
            }
        });
        let _task = Task(task.abort_handle());
        self.followed.put(tenant, Followed { sent, _task });
        if self.followed.len() > FOLLOWED_MAX {
            self.followed.pop_lru();
        }
    }
}

fn revised(mut revisions: watch::Receiver<u64>) -> Revised {
    Box::pin(async move {
        if revisions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        revisions
    })
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

/// Tenants one session follows besides its own, those of the newest requests: each is kept awake
/// for it. One that fell out is followed again by its next request, and then hears what it missed.
const FOLLOWED_MAX: usize = 2_048;
