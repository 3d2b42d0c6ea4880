//! Tenants and their identity providers.

use provost_protocol::{
    ProviderId,
    entity::{Policies, TenantStatus, TenantType},
    event::{
        Event, ProviderAdded, ProviderKeys, ProviderRemoved, ProviderSettings, Subject,
        TenantCreated, TenantResumed, TenantSuspended,
    },
};

use super::{tenant_of, valid};
use crate::{
    EntityKey, Rejection, State,
    command::{CreateIndividual, CreateTenant},
    limits::{
        CLAIM_NAME_BYTES_MAX, CLAIM_VALUE_BYTES_MAX, CLAIMS_MAX, JWKS_BYTES_MAX, NAME_BYTES_MAX,
        PROVIDERS_MAX, REASON_BYTES_MAX, SUBJECT_BYTES_MAX, URL_BYTES_MAX,
    },
    window::is_time_zone,
};

pub(super) fn create(state: &State, create: &CreateTenant) -> Result<Vec<Event>, Rejection> {
    if state.tenant().is_some() {
        return Err(Rejection::Exists("the tenant"));
    }
    if create.tenant_type == TenantType::Individual {
        let why = "an individual's tenant is made by a resolve in its operator's";
        return Err(Rejection::invalid("type", why));
    }
    if create.operator == Some(state.tenant_id()) {
        return Err(Rejection::invalid(
            "operator",
            "a tenant does not operate itself",
        ));
    }
    check_common(&create.name, &create.policies, &create.time_zone)?;
    if let Some(wanted) = &create.policies.data_residency
        && create.region.as_ref() != Some(wanted)
    {
        return Err(Rejection::Residency(wanted.clone()));
    }
    Ok(vec![
        TenantCreated {
            tenant_type: create.tenant_type,
            name: create.name.clone(),
            policies: create.policies.clone(),
            operator: create.operator,
            time_zone: create.time_zone.clone(),
            subject: None,
        }
        .into(),
    ])
}

pub(super) fn create_individual(
    state: &State,
    create: &CreateIndividual,
) -> Result<Vec<Event>, Rejection> {
    if let Some(tenant) = state.tenant() {
        let same = tenant.subject.as_ref() == Some(&create.subject)
            && tenant.operator == Some(create.operator);
        return if same {
            Ok(Vec::new())
        } else {
            Err(Rejection::Exists("the tenant"))
        };
    }
    check_common(&create.name, &create.policies, &create.time_zone)?;
    check_subject(&create.subject)?;
    Ok(vec![
        TenantCreated {
            tenant_type: TenantType::Individual,
            name: create.name.clone(),
            policies: create.policies.clone(),
            operator: Some(create.operator),
            time_zone: create.time_zone.clone(),
            subject: Some(create.subject.clone()),
        }
        .into(),
    ])
}

pub(super) fn suspend(state: &State, reason: &str) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    match tenant.status {
        TenantStatus::Suspended => Ok(Vec::new()),
        TenantStatus::Active => Ok(vec![
            TenantSuspended {
                reason: reason.to_owned(),
            }
            .into(),
        ]),
    }
}

pub(super) fn resume(state: &State, reason: &str) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    valid::optional_text("reason", reason, REASON_BYTES_MAX)?;
    match tenant.status {
        TenantStatus::Active => Ok(Vec::new()),
        TenantStatus::Suspended => Ok(vec![
            TenantResumed {
                reason: reason.to_owned(),
            }
            .into(),
        ]),
    }
}

pub(super) fn add_provider(
    state: &State,
    provider: ProviderId,
    settings: &ProviderSettings,
) -> Result<Vec<Event>, Rejection> {
    let tenant = tenant_of(state)?;
    if state.get(&EntityKey::Provider(provider)).is_some() {
        return Err(Rejection::Exists("the provider"));
    }
    let twin = |other: &&crate::state::Provider| {
        other.settings.issuer == settings.issuer && other.settings.audience == settings.audience
    };
    if state.providers().any(|other| twin(&other)) {
        return Err(Rejection::Exists(
            "a provider with this issuer and audience",
        ));
    }
    valid::room_for_one("providers", tenant.providers, PROVIDERS_MAX)?;
    check_provider(settings)?;
    let company = match tenant.tenant_type {
        TenantType::Company => true,
        TenantType::Individual | TenantType::Internal => false,
    };
    if company && !settings.individuals && settings.required_claims.is_empty() {
        let why = "a company's provider needs a claim that names the organisation";
        return Err(Rejection::invalid("required_claims", why));
    }
    Ok(vec![
        ProviderAdded {
            provider,
            settings: settings.clone(),
        }
        .into(),
    ])
}

pub(super) fn remove_provider(
    state: &State,
    provider: ProviderId,
) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if state.get(&EntityKey::Provider(provider)).is_none() {
        return Err(Rejection::NotFound);
    }
    Ok(vec![ProviderRemoved { provider }.into()])
}

/// Checks a person as a provider names them.
pub(super) fn check_subject(subject: &Subject) -> Result<(), Rejection> {
    valid::text("issuer", &subject.issuer, URL_BYTES_MAX)?;
    valid::text("subject", &subject.subject, SUBJECT_BYTES_MAX)
}

fn check_common(name: &str, policies: &Policies, time_zone: &str) -> Result<(), Rejection> {
    valid::text("name", name, NAME_BYTES_MAX)?;
    if let Some(region) = &policies.data_residency {
        valid::text("data_residency", region, NAME_BYTES_MAX)?;
    }
    if !is_time_zone(time_zone) {
        return Err(Rejection::invalid(
            "time_zone",
            "is not a name of the IANA database",
        ));
    }
    Ok(())
}

fn check_provider(settings: &ProviderSettings) -> Result<(), Rejection> {
    valid::text("issuer", &settings.issuer, URL_BYTES_MAX)?;
    valid::text("audience", &settings.audience, URL_BYTES_MAX)?;
    if settings.algorithms.is_empty() || settings.algorithms.len() > ALGORITHMS.len() {
        return Err(Rejection::invalid("algorithms", "names none, or too many"));
    }
    if !settings
        .algorithms
        .iter()
        .all(|name| ALGORITHMS.contains(&name.as_str()))
    {
        return Err(Rejection::invalid(
            "algorithms",
            "only RS, PS, ES families and EdDSA",
        ));
    }
    match &settings.keys {
        ProviderKeys::JwksUrl(url) => {
            valid::text("jwks_url", url, URL_BYTES_MAX)?;
            if !url.starts_with("https://") {
                return Err(Rejection::invalid("jwks_url", "must be https"));
            }
        }
        ProviderKeys::JwksInline(document) => {
            if document.len() > JWKS_BYTES_MAX {
                return Err(Rejection::invalid("jwks_inline", "is too long"));
            }
        }
    }
    if settings.required_claims.len() > CLAIMS_MAX {
        return Err(Rejection::invalid("required_claims", "are too many"));
    }
    for (name, value) in &settings.required_claims {
        valid::text("required_claims", name, CLAIM_NAME_BYTES_MAX)?;
        valid::text("required_claims", value, CLAIM_VALUE_BYTES_MAX)?;
    }
    match &settings.roles_claim {
        Some(claim) => valid::text("roles_claim", claim, CLAIM_NAME_BYTES_MAX),
        None => Ok(()),
    }
}

/// Asymmetric only: with a shared secret, whoever can check a token can make one.
const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];
