//! A tenant, from outside.

use std::{sync::Arc, time::Duration};

use provost_kernel::{Caller, Command, EntityKey, State, license::Licensee};
use provost_protocol::{EventId, RuntimeId, TenantId, envelope::Source, event::Confirmation};
use tokio::sync::watch;

use super::{
    TenantError,
    actor::{Published, TenantActor},
    message::{
        AuditItem, Due, Execute, Executed, Guard, Hold, IssueLicense, Look, Meta, NoteConfirmation,
        NoteTrust, Presence, Ready, RecordAudit, Release,
    },
};
use crate::{Guarded, Health, ask::tell};

/// A tenant, from outside. Cheap to clone; knows how long to wait.
///
/// A tenant falls asleep when nobody uses it; a handle that answers [`TenantError::Gone`] is to be
/// found again in the directory.
#[derive(Debug, Clone)]
pub struct TenantHandle {
    id: TenantId,
    actor: Guarded<TenantActor>,
    published: Arc<Published>,
}

impl TenantHandle {
    pub(crate) const fn new(
        id: TenantId,
        actor: Guarded<TenantActor>,
        published: Arc<Published>,
    ) -> Self {
        Self {
            id,
            actor,
            published,
        }
    }

    /// The tenant's id.
    #[must_use]
    pub const fn id(&self) -> TenantId {
        self.id
    }

    /// The last committed state; never waits.
    #[must_use]
    pub fn view(&self) -> Arc<State> {
        self.published.view()
    }

    /// The same to look at only, without holding it: for less than a turn.
    pub(crate) fn glance(&self) -> arc_swap::Guard<Arc<State>> {
        self.published.glance()
    }

    /// The desired-state revision as a value that can be watched; keeps the tenant awake.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.published.revisions()
    }

    /// Decides a command and answers when what follows is durable.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn execute(&self, command: Command, meta: Meta) -> Result<Executed, TenantError> {
        let guard = None;
        let execute = Execute {
            command,
            meta,
            guard,
        };
        self.actor.ask(execute, PATIENCE).await?
    }

    /// The same, where the state is still as the caller has seen it; a request that is repeated
    /// under its idempotency key is answered as at first, whatever holds now.
    ///
    /// # Errors
    /// [`TenantError::PreconditionFailed`] where the guard does not hold.
    pub async fn execute_if(
        &self,
        guard: Guard,
        command: Command,
        meta: Meta,
    ) -> Result<Executed, TenantError> {
        let guard = Some(guard);
        let execute = Execute {
            command,
            meta,
            guard,
        };
        self.actor.ask(execute, PATIENCE).await?
    }

    /// Records audit events, each once; answers each one's sequence, in order.
    ///
    /// # Errors
    /// [`TenantError`]; all or none were recorded.
    pub async fn record_audit(
        &self,
        caller: Caller,
        items: Vec<AuditItem>,
        source: Source,
    ) -> Result<Vec<(EventId, u64)>, TenantError> {
        self.actor
            .ask(
                RecordAudit {
                    caller,
                    items,
                    source,
                },
                PATIENCE,
            )
            .await?
    }

    /// Issues a license; its text leaves when the event is durable.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn issue_license(
        &self,
        licensee: Licensee,
        meta: Meta,
    ) -> Result<String, TenantError> {
        self.actor
            .ask(IssueLicense { licensee, meta }, PATIENCE)
            .await?
    }

    /// Loads cold entities and keeps them in the view until they are released.
    pub(crate) async fn hold(&self, keys: Vec<EntityKey>) -> Result<State, TenantError> {
        self.actor.ask(Hold(keys), PATIENCE).await?
    }

    /// Loads cold entities for one look at them.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn look(&self, keys: Vec<EntityKey>) -> Result<State, TenantError> {
        self.actor.ask(Look(keys), PATIENCE).await?
    }

    pub(crate) fn release(&self, keys: Vec<EntityKey>) {
        self.tell(Release(keys));
    }

    pub(crate) fn presence(&self, presence: Presence) -> bool {
        self.tell(presence)
    }

    /// Notes that a runtime confirmed a revision; may be missed, and is then said again.
    pub(crate) fn confirm(&self, confirmation: Confirmation) {
        self.tell(NoteConfirmation(confirmation));
    }

    /// Notes that a runtime trusts a bundle; may be missed, and is then said again.
    pub(crate) fn note_trust(&self, runtime: RuntimeId, bundle: String) {
        self.tell(NoteTrust { runtime, bundle });
    }

    /// Has every session that follows the tenant look again whether it may go on: a certificate
    /// was revoked, which no revision shows.
    pub fn look_again(&self) {
        self.published.look_again();
    }

    pub(crate) fn due(&self) {
        self.tell(Due);
    }

    pub(crate) async fn ready(&self) -> Result<(), TenantError> {
        Ok(self.actor.ask(Ready, PATIENCE).await?)
    }

    /// Whether it has fallen asleep and is to be woken anew. Quarantined it is not: that lasts
    /// until the kernel restarts.
    pub(crate) fn is_asleep(&self) -> bool {
        self.actor.is_stopped()
    }

    /// Whether the actor is loaded; it has a view then, also while it is rebuilt.
    pub(crate) fn is_loaded(&self) -> bool {
        self.published.is_loaded()
    }

    /// Whether it crashed too often and is kept down.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        matches!(self.actor.health(), Health::Quarantined)
    }

    /// Whether its view may be answered from: it has one, and is neither asleep nor kept down.
    pub(crate) fn is_served(&self) -> bool {
        self.published.is_loaded() && !self.actor.is_down()
    }

    fn tell<M>(&self, message: M) -> bool
    where
        TenantActor: actix::Handler<M>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        match self.actor.health() {
            Health::Running(address, _) => tell(&*address, message, "tenant"),
            _ => false,
        }
    }
}

/// An append waits for at most two fdatasyncs; five seconds of those is a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);
