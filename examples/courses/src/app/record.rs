//! Changes and their events: written together, told in order, and nothing new before the old is told.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;

use super::App;
use crate::accounts::{Account, Key, StoreError, Turn};
use crate::connector::{ConnectorError, Event, now_rfc3339};
use crate::sessions::Session;

/// Why an action did not take place, or took place and could not be told yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    /// Without governance nothing is done.
    #[error("governance unavailable")]
    Governance(#[from] ConnectorError),
    /// The account could not be read or kept.
    #[error("account storage failed")]
    Store(#[from] StoreError),
}

/// Makes the events of one action of one person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter {
    runtime: Uuid,
    key: Key,
    correlation: Uuid,
}

impl Reporter {
    /// Makes an event that the person caused.
    pub(crate) fn event(&self, kind: &str, payload: Value) -> Event {
        Event {
            event_id: Uuid::now_v7(),
            tenant_id: self.key.tenant,
            runtime_id: self.runtime,
            actor_type: "user".to_owned(),
            actor_id: self.key.identity.to_string(),
            kind: kind.to_owned(),
            timestamp: now_rfc3339(),
            correlation_id: self.correlation,
            payload,
        }
    }
}

impl App {
    /// Makes a reporter, once the runtime is registered.
    pub(crate) fn reporter(&self, key: Key, correlation: Uuid) -> Result<Reporter, ConnectorError> {
        let runtime = self.connector.registered()?.runtime_id;
        Ok(Reporter {
            runtime,
            key,
            correlation,
        })
    }

    /// Changes an account durably and tells the events the change put into the outbox.
    ///
    /// On an error from telling, the change stands and its events are told later, before anything
    /// else of this person happens.
    pub(crate) async fn record<R>(
        &self,
        key: Key,
        change: impl FnOnce(&mut Account) -> R,
    ) -> Result<R, ActionError> {
        let turn = self.accounts.turn(key).await;
        let mut account = turn.read().await.inspect_err(|_| self.store_failed())?;
        self.tell(&turn, &mut account).await?;
        let before = account.clone();
        let result = change(&mut account);
        if account != before {
            self.keep(&turn, &account).await?;
            self.tell(&turn, &mut account).await?;
        }
        Ok(result)
    }

    /// Tells that a session has ended; if nobody hears it, it is kept and told later.
    pub(crate) async fn end_session(&self, session: &Session, reason: &str, correlation: Uuid) {
        if let Err(error) = self
            .close(session.key, &[session.id], reason, correlation)
            .await
        {
            tracing::warn!(error = %error, session.id = %session.id, "end of session not yet told");
        }
    }

    /// Ends every session there is.
    pub(crate) async fn end_all(&self, reason: &str) {
        for session in self.sessions.take_all() {
            self.end_session(&session, reason, Uuid::now_v7()).await;
        }
    }

    /// Ends what an earlier process left open, then tells every event still waiting.
    pub(crate) async fn deliver_all(&self) {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for left in left {
            let closed = self
                .close(left.key, &left.sessions, "interrupted", Uuid::now_v7())
                .await;
            if let Err(ActionError::Store(error)) = closed {
                tracing::error!(error = %error, identity = %left.key.identity, "account not readable");
            }
        }
        for key in self.accounts.waiting() {
            let Err(error) = self.record(key, |_| ()).await else {
                continue;
            };
            tracing::warn!(error = %error, identity = %key.identity, "events still waiting");
            if matches!(&error, ActionError::Governance(error) if error.passes()) {
                // Nobody hears anything now; the next heartbeat answered begins again.
                return;
            }
        }
    }

    /// Tells the operator that something went wrong which should not.
    pub(crate) async fn report_error(&self, what: &str, correlation: Uuid) {
        let Ok(held) = self.connector.registered() else {
            return;
        };
        let event = Event {
            event_id: Uuid::now_v7(),
            tenant_id: self.connector.operator(),
            runtime_id: held.runtime_id,
            actor_type: "runtime".to_owned(),
            actor_id: held.runtime_id.to_string(),
            kind: "runtime.error".to_owned(),
            timestamp: now_rfc3339(),
            correlation_id: correlation,
            payload: json!({ "what": what }),
        };
        if let Err(error) = self.connector.audit(&event).await {
            tracing::error!(error = %error, what, "critical error not told");
        }
    }

    async fn close(
        &self,
        key: Key,
        sessions: &[Uuid],
        reason: &str,
        correlation: Uuid,
    ) -> Result<(), ActionError> {
        let reporter = self.reporter(key, correlation)?;
        let turn = self.accounts.turn(key).await;
        let mut account = turn.read().await?;
        let mut closed = false;
        for id in sessions {
            if let Some(started_at) = account.open_sessions.remove(id) {
                let payload =
                    json!({ "session_id": id, "started_at": started_at, "reason": reason });
                account
                    .outbox
                    .push(reporter.event("session.ended", payload));
                closed = true;
            }
        }
        if closed {
            self.keep(&turn, &account).await?;
        }
        self.tell(&turn, &mut account).await
    }

    async fn keep(&self, turn: &Turn<'_>, account: &Account) -> Result<(), ActionError> {
        turn.write(account.clone())
            .await
            .inspect_err(|_| self.store_failed())?;
        self.store_failing.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn tell(&self, turn: &Turn<'_>, account: &mut Account) -> Result<(), ActionError> {
        let mut told = 0;
        let mut failed = None;
        for event in &account.outbox {
            match self.connector.audit(event).await {
                Ok(()) => told += 1,
                Err(error) if hopeless(&error) => {
                    tracing::error!(error = %error, event.id = %event.event_id, event.kind = %event.kind,
                        "event refused for ever");
                    let what = format!("event {} refused: {error}", event.event_id);
                    self.report_error(&what, event.correlation_id).await;
                    told += 1;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if told > 0 {
            account.outbox.drain(..told);
            self.keep(turn, account).await?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn store_failed(&self) {
        self.store_failing.store(true, Ordering::Relaxed);
    }
}

/// Refusals that no repetition changes: the event itself is not acceptable, or is there already
/// with other bytes. Held back it would block its person for ever.
fn hopeless(error: &ConnectorError) -> bool {
    matches!(
        error,
        ConnectorError::Refused {
            status: 400 | 409 | 413 | 422,
            ..
        }
    )
}
