//! Keys: the installation's own, and those of people who administer.

use provost_protocol::{
    entity::{KeyPurpose, Role, TenantType},
    event::{AdminKeyCreated, Event, KeyCreated},
    ids::AdminKeyId,
};

use super::{tenant_of, valid};
use crate::{
    EntityKey, Rejection, State,
    limits::{NAME_BYTES_MAX, URL_BYTES_MAX},
};

pub(super) fn create_key(
    state: &State,
    kid: &str,
    purpose: KeyPurpose,
    public_key: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if !state.is_type(TenantType::Internal) {
        return Err(Rejection::invalid(
            "tenant",
            "signing keys are the installation's",
        ));
    }
    valid::text("kid", kid, NAME_BYTES_MAX)?;
    valid::text("public_key", public_key, URL_BYTES_MAX)?;
    match state.get(&EntityKey::Key(kid.to_owned())) {
        Some(crate::state::Entity::Key(present))
            if present.purpose == purpose && present.public_key == public_key =>
        {
            Ok(Vec::new())
        }
        Some(_) => Err(Rejection::Exists("the key")),
        None => {
            let (kid, public_key) = (kid.to_owned(), public_key.to_owned());
            Ok(vec![
                KeyCreated {
                    kid,
                    purpose,
                    public_key,
                }
                .into(),
            ])
        }
    }
}

pub(super) fn create_admin_key(
    state: &State,
    key: AdminKeyId,
    name: &str,
    role: Role,
    secret_sha256: &str,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if role == Role::SuperAdmin && !state.is_type(TenantType::Internal) {
        return Err(Rejection::invalid(
            "role",
            "super_admin is of the internal tenant only",
        ));
    }
    if state.get(&EntityKey::AdminKey(key)).is_some() {
        return Err(Rejection::Exists("the admin key"));
    }
    valid::text("name", name, NAME_BYTES_MAX)?;
    valid::sha256_hex("secret_sha256", secret_sha256)?;
    let (name, secret_sha256) = (name.to_owned(), secret_sha256.to_owned());
    Ok(vec![
        AdminKeyCreated {
            key,
            name,
            role,
            secret_sha256,
        }
        .into(),
    ])
}
