//! The keys of the state, and what an entity puts beside itself in the indexes.

use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::{RuntimeId, TenantId, Timestamp, TokenId, entity::RuntimeStatus};

pub(super) fn entity_key(tenant: TenantId, key: &EntityKey) -> String {
    format!("t/{tenant}/{key}")
}

pub(super) fn head_key(tenant: TenantId) -> String {
    format!("{HEADS}{tenant}")
}

pub(super) fn online_key(tenant: TenantId, runtime: RuntimeId) -> String {
    format!("{ONLINE}{tenant}/{runtime}")
}

pub(super) fn token_key(token: TokenId) -> String {
    format!("{TOKENS}{token}")
}

/// Whether the log says that the runtime is there: it has beaten, and was not lost since. Also of a
/// suspended one: it beats on, and is resumed some day.
pub(crate) fn is_online(entity: &Entity) -> bool {
    matches!(entity, Entity::Runtime(runtime)
        if runtime.activated.is_some() && runtime.status != RuntimeStatus::Revoked && !runtime.lost)
}

/// When the tenant has something to do about the entity by itself.
pub(crate) fn deadline(entity: &Entity) -> Option<Timestamp> {
    match entity {
        Entity::Entitlement(entitlement)
            if !entitlement.end_recorded && entitlement.valid_until != Timestamp::MAX =>
        {
            Some(entitlement.valid_until)
        }
        _ => None,
    }
}

pub(super) fn due_key(at: Timestamp, tenant: TenantId, key: &EntityKey) -> Vec<u8> {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let mut bytes = DUE.to_vec();
    bytes.extend_from_slice(&millis.to_be_bytes());
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.extend_from_slice(key.to_string().as_bytes());
    bytes
}

/// The serial numbers of certificates that are revoked, each with when it is over in any case.
pub(crate) fn revoked(entity: &Entity) -> Vec<(Timestamp, String)> {
    match entity {
        Entity::Runtime(runtime) if runtime.status == RuntimeStatus::Revoked => runtime
            .serials
            .iter()
            .map(|serial| (runtime.certificate_not_after, serial.clone()))
            .collect(),
        Entity::RevokedCertificate(revoked) => vec![(revoked.not_after, revoked.serial.clone())],
        _ => Vec::new(),
    }
}

pub(super) fn revoked_key((ends, serial): &(Timestamp, String)) -> Vec<u8> {
    let mut bytes = revoked_from(*ends);
    bytes.extend_from_slice(serial.as_bytes());
    bytes
}

/// Sorts before every certificate that is over at that moment or later.
pub(super) fn revoked_from(ends: Timestamp) -> Vec<u8> {
    let millis = u64::try_from(ends.as_millis()).unwrap_or(0);
    let mut bytes = REVOKED.to_vec();
    bytes.extend_from_slice(&millis.to_be_bytes());
    bytes
}

pub(super) const WATERMARK: &[u8] = b"w";
pub(super) const HEADS: &str = "h/";
pub(super) const DUE: &[u8] = b"d/";
pub(super) const ONLINE: &str = "o/";
pub(super) const TOKENS: &str = "k/";
pub(super) const REVOKED: &[u8] = b"r/";
