//! The pilot's own client of the connector's local API: the five calls of contract v0.1.
//!
//! What survives a crash: nothing; a start registers again, which the contract expects.

mod beat;
mod transport;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

pub(crate) use beat::beat;
pub(crate) use transport::ConnectorError;
pub(crate) use wire::{Event, Identity, Limits, Verdict, now_rfc3339};

use crate::secret::Secret;
use transport::{Call, Transport};
use wire::{Beat, Registered, Resolved};

/// What registering gave: who this runtime is and the token of its calls.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) runtime_id: Uuid,
    pub(crate) status: String,
    token: Secret,
    generation: u64,
}

/// The local API, from the pilot's side.
#[derive(Debug)]
pub(crate) struct Connector {
    transport: Transport,
    operator: Uuid,
    registration: RwLock<Option<Arc<Registration>>>,
    registering: tokio::sync::Mutex<()>,
    standing: Mutex<Standing>,
}

/// How the runtime stands with its operator, as last heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// The status last answered: registered, active or suspended.
    pub(crate) status: String,
    /// Whether the last heartbeat was answered.
    pub(crate) heard: bool,
}

/// One use of a feature that the kernel is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) tenant: Uuid,
    pub(crate) feature: &'a str,
    pub(crate) resource: &'a str,
    /// The key that makes taking one from the quota happen once; without it nothing is taken.
    pub(crate) consume: Option<Uuid>,
}

impl Connector {
    /// Makes a client for `base`, acting in the operator's tenant until a user is resolved.
    pub(crate) fn new(base: &str, operator: Uuid) -> Result<Self, ConnectorError> {
        Ok(Self {
            transport: Transport::new(base)?,
            operator,
            registration: RwLock::new(None),
            registering: tokio::sync::Mutex::new(()),
            standing: Mutex::new(Standing::default()),
        })
    }

    /// The tenant that operates this runtime.
    pub(crate) fn operator(&self) -> Uuid {
        self.operator
    }

    /// The registration in force, if there is one.
    pub(crate) fn registration(&self) -> Option<Arc<Registration>> {
        self.registration
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How the runtime stands, as last heard.
    pub(crate) fn standing(&self) -> Standing {
        self.lock_standing().clone()
    }

    /// Registers, unless somebody did since `seen`; the new token replaces the old.
    pub(crate) async fn register(
        &self,
        seen: Option<u64>,
        correlation: Uuid,
    ) -> Result<Arc<Registration>, ConnectorError> {
        let _turn = self.registering.lock().await;
        if let Some(held) = self.registration()
            && Some(held.generation) != seen
        {
            return Ok(held);
        }
        let body = json!({
            "tenant_id": self.operator,
            "runtime_type": "courses",
            "deployment_mode": "shared",
            "version": env!("CARGO_PKG_VERSION"),
            "capabilities": CAPABILITIES,
        });
        let call = Call::new("/kernel/runtimes/register", self.operator, correlation);
        let answered: Result<Registered, _> = self.transport.send(&call, &body).await;
        if let Err(ConnectorError::Refused { status: 403, .. }) = &answered {
            self.lock_standing().status = "suspended".to_owned();
        }
        let answer = answered?;
        let registration = Arc::new(Registration {
            runtime_id: answer.runtime_id,
            status: answer.status,
            token: Secret::new(answer.runtime_token),
            generation: seen.map_or(1, |seen| seen + 1),
        });
        tracing::info!(runtime.id = %registration.runtime_id, status = %registration.status,
            contract = %answer.contract_version, "registered");
        *self
            .registration
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&registration));
        Ok(registration)
    }

    /// Tells the kernel that the pilot lives; answers when to tell it again.
    pub(crate) async fn heartbeat(
        &self,
        degraded: bool,
        sessions: usize,
    ) -> Result<Duration, ConnectorError> {
        let held = self.registered()?;
        let path = format!("/kernel/runtimes/{}/heartbeat", held.runtime_id);
        let body = json!({
            "status": if degraded { "degraded" } else { "healthy" },
            "metrics": { "sessions_open": sessions },
        });
        let call = Call::new(&path, self.operator, Uuid::now_v7());
        let answered: Result<Beat, _> = self.send(call, &body).await;
        self.hear(answered.as_ref().ok());
        let beat = answered?;
        if !beat.directives.is_empty() {
            tracing::info!(
                count = beat.directives.len(),
                "directives heard; the connector acts on them"
            );
        }
        Ok(Duration::from_millis(beat.heartbeat_interval_ms))
    }

    /// Asks whose token this is. No answer, no session.
    pub(crate) async fn resolve(
        &self,
        token: &Secret,
        correlation: Uuid,
    ) -> Result<Identity, ConnectorError> {
        let body = json!({ "tenant_id": self.operator, "external_token": token.expose() });
        let call = Call::new("/kernel/identity/resolve", self.operator, correlation);
        let resolved: Resolved = self.send(call, &body).await?;
        Ok(resolved.identity)
    }

    /// Asks whether a use is allowed; with a `consume` key, takes one from the quota.
    pub(crate) async fn check(
        &self,
        used: Use<'_>,
        correlation: Uuid,
    ) -> Result<Verdict, ConnectorError> {
        let held = self.registered()?;
        let mut context = json!({ "resource": used.resource });
        if used.consume.is_some() {
            context["consume"] = json!(1);
        }
        let body = json!({
            "tenant_id": used.tenant,
            "runtime_id": held.runtime_id,
            "feature": used.feature,
            "context": context,
        });
        let mut call = Call::new("/kernel/entitlements/check", used.tenant, correlation);
        call.idempotency = used.consume;
        self.send(call, &body).await
    }

    /// Reports an event; when this returns, the connector has it durably.
    pub(crate) async fn audit(&self, event: &Event) -> Result<(), ConnectorError> {
        let call = Call::new(
            "/kernel/audit/events",
            event.tenant_id,
            event.correlation_id,
        );
        let _: serde_json::Value = self.send(call, &json!({ "event": event })).await?;
        Ok(())
    }

    /// The registration, or the error that there is none yet.
    pub(crate) fn registered(&self) -> Result<Arc<Registration>, ConnectorError> {
        self.registration().ok_or(ConnectorError::NotRegistered)
    }

    /// Sends with the token; a refused token is replaced once by registering again.
    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: &serde_json::Value,
    ) -> Result<T, ConnectorError> {
        let held = self.registered()?;
        match self.transport.send(&call.authorised(&held), body).await {
            Err(ConnectorError::Refused { code, .. }) if code == "token_refused" => {
                let renewed = self
                    .register(Some(held.generation), call.correlation)
                    .await?;
                self.transport.send(&call.authorised(&renewed), body).await
            }
            answered => answered,
        }
    }

    fn lock_standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, beat: Option<&Beat>) {
        let mut standing = self.lock_standing();
        standing.heard = beat.is_some();
        if let Some(beat) = beat
            && standing.status != beat.status
        {
            tracing::info!(from = %standing.status, to = %beat.status, "status changed");
            standing.status.clone_from(&beat.status);
        }
    }
}

/// What this runtime can do, in the kernel's words for features.
const CAPABILITIES: [&str; 2] = ["course_access", "assessment_attempts"];
