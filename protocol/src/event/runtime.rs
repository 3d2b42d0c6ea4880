//! What happens to enrolment tokens and runtimes.

use serde::{Deserialize, Serialize};

use crate::{
    ContractVersion, RuntimeId, TenantId, Timestamp, TokenId,
    entity::{DeploymentMode, Health, RuntimeType},
};

/// An enrolment token may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentTokenCreated {
    /// The token.
    pub token: TokenId,
    /// SHA-256 of its secret, hex.
    pub secret_sha256: String,
    /// Which type of runtime may use it.
    pub runtime_type: RuntimeType,
    /// How that runtime is deployed.
    pub deployment_mode: DeploymentMode,
    /// How many distinct keys may enroll with it.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
}

/// An enrolment token may be used no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentTokenRevoked {
    /// The token.
    pub token: TokenId,
}

/// An alarm: a used-up token was presented with a key it is not bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentTokenMisused {
    /// The token.
    pub token: TokenId,
    /// SHA-256 of the strange key's SPKI, hex.
    pub cnf: String,
    /// From where.
    pub address: String,
}

/// A runtime has a certificate. The event is durable before the certificate leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeEnrolled {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The token it came with.
    pub token: TokenId,
    /// What it is.
    pub runtime_type: RuntimeType,
    /// How it is deployed.
    pub deployment_mode: DeploymentMode,
    /// SHA-256 of the binding key's SPKI, hex.
    pub cnf: String,
    /// SPKI of the binding key, DER, base64.
    pub binding_key: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its serial number, hex.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A runtime said what it is; a new runtime token replaces the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRegistered {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The version of its software.
    pub version: String,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// The contract version it speaks.
    pub contract_version: ContractVersion,
    /// SHA-256 of its runtime token, hex; absent on frames, which need none.
    pub token_sha256: Option<String>,
}

/// The first heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeActivated {
    /// The runtime.
    pub runtime: RuntimeId,
}

/// Every check of the runtime is denied until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeSuspended {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}

/// The runtime may act again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeResumed {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
}

/// The runtime is refused for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRevoked {
    /// The runtime.
    pub runtime: RuntimeId,
    /// Why, in the operator's words.
    pub reason: String,
    /// Serial numbers of its certificates, hex.
    pub serials: Vec<String>,
}

/// In the acted-for tenant's log: a shared runtime of its operator may act for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeAttached {
    /// The shared runtime.
    pub runtime: RuntimeId,
    /// The runtime's own tenant: this tenant's operator.
    pub operator: TenantId,
    /// SHA-256 of the runtime's binding key, hex: its licenses are bound to it.
    pub cnf: String,
}

/// The shared runtime may act for the tenant no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeDetached {
    /// The shared runtime.
    pub runtime: RuntimeId,
}

/// Runtimes that gave no heartbeat for a whole grace: one event per tenant and wheel tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimesLost {
    /// Which.
    pub runtimes: Vec<RuntimeId>,
}

/// Lost runtimes that beat again: one event per tenant and wheel tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimesReturned {
    /// Which.
    pub runtimes: Vec<RuntimeId>,
}

/// A runtime says it is well, or not fully.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeHealthChanged {
    /// The runtime.
    pub runtime: RuntimeId,
    /// What it says.
    pub health: Health,
}

/// Runtimes that confirmed a revision of the desired state: at most one event a second per tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredStateConfirmed {
    /// Each runtime with the highest revision it confirmed.
    pub confirmed: Vec<Confirmation>,
}

/// One runtime's word on one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The runtime.
    pub runtime: RuntimeId,
    /// The revision of the tenant's desired state.
    pub revision: u64,
}
