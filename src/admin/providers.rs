//! `/v1/tenants/{tenant_id}/providers`: whose word on persons a tenant takes.

use std::sync::Arc;

use provost_kernel::{
    Command,
    state::{Entity, EntityKey},
};
use provost_protocol::{
    Code, ProviderId, TenantId,
    event::{Event, ProviderKeys, ProviderSettings},
};

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::Provider,
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/providers",
        id: "list_providers",
        about: "Lists a tenant's identity providers.",
        needs: Needs::Read,
        body: None,
        answer: (200, "ProviderPage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/providers",
        id: "add_provider",
        about: "Accepts the tokens of an identity provider.",
        needs: Needs::Write,
        body: Some("AddProvider"),
        answer: (201, "Provider"),
        query: &[],
        handler: |admin, call| Box::pin(add(admin, call)),
    },
    Route {
        method: Method::Delete,
        path: "/v1/tenants/{tenant_id}/providers/{provider_id}",
        id: "remove_provider",
        about: "Refuses an identity provider's tokens from now on.",
        needs: Needs::Write,
        body: None,
        answer: (200, "Provider"),
        query: &[],
        handler: |admin, call| Box::pin(remove(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let page = admin.page(tenant.id, "provider/", &paging, |_, entity| match entity {
        Entity::Provider(record) => Some(Provider::from(record)),
        _ => None,
    });
    Answer::ok(&page.await?)
}

async fn add(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::AddProvider = call.body()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?
        .id;
    let keys = match (body.jwks_url, body.jwks) {
        (Some(url), None) => ProviderKeys::JwksUrl(url),
        (None, Some(jwks)) if jwks.is_object() => {
            ProviderKeys::JwksInline(jwks.as_str().to_owned())
        }
        (None, Some(_)) => return Err(Refusal::new(Code::Invalid, "jwks: must be an object")),
        _ => {
            return Err(Refusal::new(
                Code::Invalid,
                "exactly one of jwks_url and jwks",
            ));
        }
    };
    let settings = ProviderSettings {
        kind: body.kind,
        issuer: body.issuer,
        audience: body.audience,
        algorithms: body.algorithms,
        keys,
        required_claims: body.required_claims,
        roles_claim: body.roles_claim,
        individuals: body.individuals,
    };
    let provider = ProviderId::from_parts(admin.now(), admin.id_bytes());
    let command = Command::AddProvider { provider, settings };
    let executed = admin.execute(&call, tenant, command).await?;
    let added = executed
        .events
        .iter()
        .find_map(|envelope| match &envelope.event {
            Event::ProviderAdded(added) => Some(added.provider),
            _ => None,
        });
    let record = record(&admin, tenant, added.unwrap_or(provider)).await?;
    Ok(Answer::created(&record)?.of(&executed))
}

async fn remove(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?
        .id;
    let provider: ProviderId = call.id("provider_id")?;
    let record = record(&admin, tenant, provider).await?;
    let executed = admin
        .execute(&call, tenant, Command::RemoveProvider { provider })
        .await?;
    Ok(Answer::ok(&record)?.of(&executed))
}

async fn record(
    admin: &Admin,
    tenant: TenantId,
    provider: ProviderId,
) -> Result<Provider, Refusal> {
    match admin
        .entity(tenant, EntityKey::Provider(provider))
        .await?
        .as_deref()
    {
        Some(Entity::Provider(record)) => Ok(Provider::from(record)),
        _ => Err(Refusal::not_found()),
    }
}
