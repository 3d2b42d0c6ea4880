//! Who calls, and what came of it.

use std::{net::SocketAddr, sync::Arc};

use provost_kernel::{Caller, state::RuntimeRecord};
use provost_protocol::{
    ContractVersion, CorrelationId,
    entity::{DeploymentMode, RuntimeStatus, RuntimeType},
    envelope::{ActorRef, Source},
    sign::PeerIdentity,
    wire::WirePolicies,
};

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
    pub(crate) record: Arc<RuntimeRecord>,
    pub(crate) caller: Caller,
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
    /// The runtime, as its tenant's log knows it.
    #[must_use]
    pub fn record(&self) -> &RuntimeRecord {
        &self.record
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
