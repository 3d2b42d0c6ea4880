//! What is shown of the installation itself.

use provost_kernel::state::AdminKeyRecord;
use provost_protocol::{
    InstallId, TenantId, Timestamp,
    entity::{KeyPurpose, Liveness, Role, RuntimeType},
    ids::AdminKeyId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An admin key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in the kernel's AdminKeyRecord")]
pub struct AdminKey {
    pub key_id: AdminKeyId,
    pub tenant_id: TenantId,
    pub name: String,
    pub role: Role,
    pub created: Timestamp,
}

impl AdminKey {
    /// Shows an admin key of a tenant.
    #[must_use]
    pub fn new(tenant: TenantId, record: &AdminKeyRecord) -> Self {
        Self {
            key_id: record.id,
            tenant_id: tenant,
            name: record.name.clone(),
            role: record.role,
            created: record.created,
        }
    }
}

/// An admin key that was just created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminKeyCreated {
    /// `pvk_…`, to be sent as bearer token. It is shown here and never again.
    pub key: String,
    /// What is kept of it.
    pub record: AdminKey,
}

/// The public halves of the installation's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keys {
    /// What signs licenses, the time and checkpoints.
    pub keys: Vec<PublicKey>,
    /// The root certificates to trust, PEM: two while one is rotated out for the other.
    pub root_pem: String,
    /// SHA-256 of the DER of the one that signs, hex.
    pub root_sha256: String,
}

/// One public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicKey {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its name.
    pub kid: String,
    /// SubjectPublicKeyInfo, PEM.
    pub public_key_pem: String,
}

/// How the kernel does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of this executable.
    pub version: String,
    /// The installation.
    pub install_id: InstallId,
    /// The region served, if one is configured.
    pub region: Option<String>,
    /// When the process started.
    pub started: Timestamp,
    /// What time it is here.
    pub now: Timestamp,
    /// Whether it is stopping.
    pub draining: bool,
    /// Whether the store answers.
    pub store_ready: bool,
    /// Where runtimes are told to come.
    pub runtime_address: String,
    /// The disk of the data, as it was last looked at; absent before the first look.
    pub disk: Option<Disk>,
    /// Tenants in memory.
    pub tenants_awake: usize,
    /// Live runtimes by type and liveness.
    pub fleet: Vec<FleetCount>,
}

/// The disk of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Below how many the alarm is raised.
    pub low_bytes: u64,
    /// Whether the alarm is raised.
    pub low: bool,
}

/// How many live runtimes of one type are in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "three words")]
pub struct FleetCount {
    #[serde(rename = "type")]
    pub runtime_type: RuntimeType,
    pub liveness: Liveness,
    pub count: usize,
}

impl std::fmt::Debug for AdminKeyCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminKeyCreated")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
