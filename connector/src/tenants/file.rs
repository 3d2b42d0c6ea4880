//! One tenant, as it stands on disk.

use provost_protocol::{TenantId, wire::DesiredState};
use serde::{Deserialize, Serialize};

use super::Tenant;

/// A tenant's file. A field is added with a default, never renamed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TenantFile {
    /// The format.
    v: u32,
    pub(super) tenant: TenantId,
    #[serde(default)]
    pub(super) highest: Option<(u64, u64)>,
    #[serde(default)]
    pub(super) desired: Option<DesiredState>,
    #[serde(default)]
    pub(super) license: Option<String>,
    #[serde(default)]
    pub(super) obeyed: Option<u64>,
}

impl TenantFile {
    pub(super) fn of(tenant: TenantId, held: &Tenant) -> Self {
        Self {
            v: FORMAT,
            tenant,
            highest: held.highest,
            desired: held.desired.state().cloned(),
            license: held
                .license
                .as_ref()
                .map(|license| license.text.to_string()),
            obeyed: held.obeyed,
        }
    }
}

/// The only format so far.
const FORMAT: u32 = 1;
