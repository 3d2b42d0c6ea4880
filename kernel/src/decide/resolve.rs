//! People: who they are, and the tenants of their own that an operator admits.

use provost_protocol::{
    ProviderId, TenantId,
    event::{Event, IdentityCreated, IdentityResolved, IndividualAdmitted, Subject},
};

use super::{require_in_force, tenant::check_subject, tenant_of, valid};
use crate::{
    EntityKey, Rejection, State,
    command::Resolve,
    limits::{CLAIM_NAME_BYTES_MAX, CLAIM_VALUE_BYTES_MAX, CLAIMS_MAX, INDIVIDUALS_MAX},
};

pub(super) fn admit_individual(
    state: &State,
    individual: TenantId,
    subject: &Subject,
    provider: ProviderId,
) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    // Asked again, the tenant named first stands; the caller reads it from the state.
    if state.individual(subject).is_some() {
        return Ok(Vec::new());
    }
    if !state.is_active() {
        return Err(Rejection::TenantSuspended);
    }
    let Some(crate::state::Entity::Provider(record)) = state.get(&EntityKey::Provider(provider))
    else {
        return Err(Rejection::NotFound);
    };
    if !record.settings.individuals {
        return Err(Rejection::invalid(
            "provider",
            "gives nobody a tenant of their own",
        ));
    }
    if individual == tenant.id {
        return Err(Rejection::invalid("tenant", "is the operator itself"));
    }
    check_subject(subject)?;
    valid::room_for_one("individuals", tenant.individuals, INDIVIDUALS_MAX)?;
    Ok(vec![
        IndividualAdmitted {
            tenant: individual,
            subject: subject.clone(),
            provider,
        }
        .into(),
    ])
}

pub(super) fn resolve(state: &State, wish: &Resolve) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    let caller = state.refreshed(&wish.caller);
    // Says whether the runtime may act for this tenant at all.
    state.check_facts(&caller)?;
    require_in_force(&[caller.tenant_status, tenant.status], caller.status)?;
    if tenant
        .subject
        .as_ref()
        .is_some_and(|person| *person != wish.subject)
    {
        return Err(Rejection::OtherPerson);
    }
    check_subject(&wish.subject)?;
    check_claims(wish)?;
    let mut events = Vec::with_capacity(2);
    let identity = match state.identity_of(&wish.subject) {
        Some(known) => known,
        None => {
            events.push(
                IdentityCreated {
                    identity: wish.identity,
                    subject: wish.subject.clone(),
                    provider: wish.provider,
                }
                .into(),
            );
            wish.identity
        }
    };
    events.push(
        IdentityResolved {
            identity,
            runtime: caller.runtime,
            runtime_tenant: caller.tenant,
            roles: wish.roles.clone(),
            attributes: wish.attributes.clone(),
            token_expires: wish.token_expires,
        }
        .into(),
    );
    Ok(events)
}

fn check_claims(wish: &Resolve) -> Result<(), Rejection> {
    if wish.roles.len() > CLAIMS_MAX {
        return Err(Rejection::invalid("roles", "are too many"));
    }
    for role in &wish.roles {
        valid::text("roles", role, CLAIM_NAME_BYTES_MAX)?;
    }
    if wish.attributes.len() > CLAIMS_MAX {
        return Err(Rejection::invalid("attributes", "are too many"));
    }
    for (name, value) in &wish.attributes {
        valid::text("attributes", name, CLAIM_NAME_BYTES_MAX)?;
        valid::optional_text("attributes", value, CLAIM_VALUE_BYTES_MAX)?;
    }
    Ok(())
}
