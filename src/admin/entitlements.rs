//! `/v1/tenants/{tenant_id}/entitlements`: what a tenant may do.

use std::sync::Arc;

use provost_kernel::{
    Command, State,
    command::Grant,
    state::{self, Entity, EntityKey},
};
use provost_protocol::{
    Code, RuntimeId, TenantId, Timestamp,
    entity::{Feature, Mode},
};
use serde::Deserialize;

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    body,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::{Entitlement, Page},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/entitlements",
        id: "list_entitlements",
        about: "Lists what a tenant may do, with what was taken of it.",
        needs: Needs::Read,
        body: None,
        answer: (200, "EntitlementPage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Put,
        path: "/v1/tenants/{tenant_id}/entitlements",
        id: "set_entitlement",
        about: "Allows a tenant something, within limits; replaces what was there.",
        needs: Needs::Write,
        body: Some("SetEntitlement"),
        answer: (200, "Entitlement"),
        query: &[],
        handler: |admin, call| Box::pin(set(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/entitlements",
        id: "grant_entitlement",
        about: "The same as PUT, for callers that only know how to POST.",
        needs: Needs::Write,
        body: Some("SetEntitlement"),
        answer: (200, "Entitlement"),
        query: &[],
        handler: |admin, call| Box::pin(set(admin, call)),
    },
    Route {
        method: Method::Delete,
        path: "/v1/tenants/{tenant_id}/entitlements",
        id: "remove_entitlement",
        about: "Takes away one entitlement, named exactly as it was granted.",
        needs: Needs::Write,
        body: None,
        answer: (200, "Entitlement"),
        query: &["feature", "runtime_id"],
        handler: |admin, call| Box::pin(remove(admin, call)),
    },
];

/// Names one entitlement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    feature: String,
    runtime_id: Option<String>,
}

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?
        .id;
    let paging: Paging = call.query()?;
    let entitlement = |_: &EntityKey, entity: &Entity| match entity {
        Entity::Entitlement(record) => Some(record.clone()),
        _ => None,
    };
    let page = admin
        .page(tenant, "entitlement/", &paging, entitlement)
        .await?;
    let counters = page
        .items
        .iter()
        .map(|one| EntityKey::counter(&one.feature, one.runtime));
    let counters = admin.backend().entities(tenant, counters.collect()).await?;
    let items = page
        .items
        .iter()
        .map(|record| {
            let key = EntityKey::counter(&record.feature, record.runtime);
            let found = counters.iter().find(|(counted, _)| *counted == key);
            Entitlement::new(
                record,
                found.and_then(|(_, entity)| counter_in(entity.as_deref())),
            )
        })
        .collect();
    let next_cursor = page.next_cursor;
    Answer::ok(&Page { items, next_cursor })
}

async fn set(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::SetEntitlement = call.body()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Govern)
        .await?
        .id;
    let command = Command::Grant(Grant {
        feature: body.feature.clone(),
        runtime: body.runtime_id,
        limit: body.limit.0,
        time_window: body.time_window,
        mode: body.mode.unwrap_or(Mode::Enforce),
        valid_until: body.valid_until.unwrap_or(Timestamp::MAX),
    });
    let held = held(body.feature.clone(), body.runtime_id);
    let executed = admin.execute_tagged(&call, tenant, command, held).await?;
    let record = record(&admin, tenant, &body.feature, body.runtime_id).await?;
    Ok(shown(&admin, tenant, &record).await?.of(&executed))
}

async fn remove(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let named: Named = call.query()?;
    let invalid = |text| Refusal::new(Code::Invalid, text);
    let feature = Feature::parse(&named.feature)
        .map_err(|error| Refusal::new(Code::Invalid, error.to_string()))?;
    let runtime = named.runtime_id.map(|text| text.parse()).transpose();
    let runtime: Option<RuntimeId> = runtime.map_err(|_| invalid("runtime_id is no id"))?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Govern)
        .await?
        .id;
    let record = record(&admin, tenant, &feature, runtime).await?;
    let answer = shown(&admin, tenant, &record).await?;
    let held = held(feature.clone(), runtime);
    let command = Command::RemoveEntitlement { feature, runtime };
    let executed = admin.execute_tagged(&call, tenant, command, held).await?;
    Ok(answer.of(&executed))
}

/// The tag of an entitlement as a command finds it; none where there is nothing to be replaced.
fn held(
    feature: Feature,
    runtime: Option<RuntimeId>,
) -> impl Fn(&State) -> Option<String> + Clone + Send {
    move |state| etag_of(state.entitlement(&feature, runtime)?).ok()
}

async fn shown(
    admin: &Admin,
    tenant: TenantId,
    record: &state::Entitlement,
) -> Result<Answer, Refusal> {
    let key = EntityKey::counter(&record.feature, record.runtime);
    let counter = admin.entity(tenant, key).await?;
    let view = Entitlement::new(record, counter_in(counter.as_deref()));
    Ok(Answer::ok(&view)?.tagged(etag_of(record)?))
}

const fn counter_in(entity: Option<&Entity>) -> Option<&state::Counter> {
    match entity {
        Some(Entity::Counter(counter)) => Some(counter),
        _ => None,
    }
}

async fn record(
    admin: &Admin,
    tenant: TenantId,
    feature: &Feature,
    runtime: Option<RuntimeId>,
) -> Result<state::Entitlement, Refusal> {
    let key = EntityKey::entitlement(feature, runtime);
    match admin.entity(tenant, key).await?.as_deref() {
        Some(Entity::Entitlement(record)) => Ok(record.clone()),
        _ => Err(Refusal::not_found()),
    }
}
