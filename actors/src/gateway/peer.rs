//! Who calls, and what came of it.

use std::{net::SocketAddr, sync::Arc};

use provost_kernel::{Caller, State, state::RuntimeRecord};
use provost_protocol::{
    ContractVersion, CorrelationId, RuntimeId, TenantId,
    entity::{DeploymentMode, RuntimeStatus, RuntimeType, TenantStatus},
    envelope::{ActorRef, Source},
    sign::PeerIdentity,
    wire::WirePolicies,
};

use super::at_once::Glance;
use crate::{Meta, RuntimeHandle, TenantHandle};

/// Who calls, and how.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who it is, from its certificate.
    pub identity: PeerIdentity,
    /// From where.
    pub address: SocketAddr,
    /// Through which door.
    pub source: Source,
    /// Under which version of the contract.
    pub version: ContractVersion,
}

/// What a runtime says of itself at registration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// The version of its software.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// SHA-256 of the runtime token it is given, hex; absent on frames.
    pub token_sha256: Option<String>,
}

/// A runtime is registered.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Whether it was registered before.
    pub known: bool,
    /// Where it stands.
    pub status: RuntimeStatus,
    /// What applies to it.
    pub policies: WirePolicies,
}

/// A caller whose certificate was found good, with its own tenant and its actor.
#[derive(Debug, Clone)]
pub struct Known {
    pub(crate) tenant: TenantHandle,
    pub(crate) runtime: RuntimeHandle,
    /// The tenant as it was seen then; it holds the runtime.
    state: Arc<State>,
    pub(crate) caller: Caller,
}

/// What is kept of a caller from one request to the next: handles, and what was last seen, which
/// serves for as long as nothing has changed.
#[derive(Debug, Clone)]
pub struct Kept {
    pub(crate) tenant: TenantHandle,
    pub(crate) runtime: RuntimeHandle,
    pub(super) glance: Option<Glance>,
}

impl Peer {
    /// Who asks, for the log.
    #[must_use]
    pub fn meta(&self, correlation_id: CorrelationId) -> Meta {
        Meta {
            actor: ActorRef::runtime(self.identity.runtime),
            source: self.source.clone(),
            correlation_id,
            idempotency: None,
        }
    }
}

impl Known {
    /// Judges the runtime by a state of its tenant; `None` where it holds no such runtime.
    pub(super) fn seen(
        (tenant, runtime): (TenantHandle, RuntimeHandle),
        state: Arc<State>,
        peer: &PeerIdentity,
    ) -> Option<Self> {
        let (caller, _) = caller(&state, (peer.tenant, peer.runtime))?;
        Some(Self {
            tenant,
            runtime,
            state,
            caller,
        })
    }

    /// The runtime, as its tenant's log knew it when the call came.
    #[must_use]
    pub fn record(&self) -> &RuntimeRecord {
        let record = self.state.runtime(self.caller.runtime);
        record.expect("made only of a state that holds the runtime")
    }

    /// What may be kept for the next request.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            tenant: self.tenant.clone(),
            runtime: self.runtime.clone(),
            glance: None,
        }
    }

    /// The same where nothing else is needed any more.
    #[must_use]
    pub fn into_kept(self) -> Kept {
        Kept {
            tenant: self.tenant,
            runtime: self.runtime,
            glance: None,
        }
    }

    /// The same caller as another state of its own tenant shows it.
    pub(super) fn caller_in(&self, state: &State) -> Option<Caller> {
        let of = (self.caller.tenant, self.caller.runtime);
        caller(state, of).map(|(caller, _)| caller)
    }

    /// The runtime's actor.
    #[must_use]
    pub const fn runtime(&self) -> &RuntimeHandle {
        &self.runtime
    }

    /// The runtime's own tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantHandle {
        &self.tenant
    }
}

/// Who calls, as a state of its own tenant says; `None` where it holds no such runtime.
pub(super) fn caller(
    state: &State,
    (own, runtime): (TenantId, RuntimeId),
) -> Option<(Caller, &RuntimeRecord)> {
    let record = state.runtime(runtime)?;
    let tenant = state.tenant();
    let caller = Caller {
        runtime,
        tenant: own,
        tenant_status: tenant.map_or(TenantStatus::Suspended, |tenant| tenant.status),
        status: record.status,
        killed: state.is_killed(runtime),
    };
    Some((caller, record))
}
