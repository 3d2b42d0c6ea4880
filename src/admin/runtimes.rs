//! `/v1/tenants/{tenant_id}/runtimes`.

use std::sync::Arc;

use provost_kernel::{
    Command, State,
    state::{DirectivesRecord, Entity, EntityKey, RuntimeRecord, TenantRecord},
};
use provost_protocol::{Code, RuntimeId, TenantId};

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    body,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::{Copies, Directives, Page, Runtime},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/runtimes",
        id: "list_runtimes",
        about: "Lists a tenant's runtimes, with what is known of them in memory.",
        needs: Needs::Read,
        body: None,
        answer: (200, "RuntimePage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}",
        id: "show_runtime",
        about: "Shows a runtime, with what is known of it in memory.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| Box::pin(show(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/suspend",
        id: "suspend_runtime",
        about: "Denies every check of a runtime until it is resumed.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| {
            let command = |runtime, reason| Command::SuspendRuntime { runtime, reason };
            Box::pin(change(admin, call, Act::Within, command))
        },
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/resume",
        id: "resume_runtime",
        about: "Lets a suspended or killed runtime act again.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| {
            let command = |runtime, reason| Command::ResumeRuntime { runtime, reason };
            Box::pin(change(admin, call, Act::Govern, command))
        },
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/kill",
        id: "kill_runtime",
        about: "Denies every check of a runtime until it is resumed, also by its own connector.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| {
            let command = |runtime, reason| Command::KillRuntime { runtime, reason };
            Box::pin(change(admin, call, Act::Within, command))
        },
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/resolve-clone",
        id: "resolve_clone",
        about: "Says that there is one copy of a runtime again.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| Box::pin(resolve_clone(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let record = |_: &EntityKey, entity: &Entity| match entity {
        Entity::Runtime(record) => Some(RuntimeRecord::clone(record)),
        _ => None,
    };
    let page = admin.page(tenant.id, "runtime/", &paging, record).await?;
    let items = views(&admin, &tenant, &page.items).await?;
    let next_cursor = page.next_cursor;
    Answer::ok(&Page { items, next_cursor })
}

async fn show(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    answer(&admin, &tenant, call.id("runtime_id")?).await
}

pub(super) async fn change(
    admin: Arc<Admin>,
    call: Call,
    act: Act,
    command: fn(RuntimeId, String) -> Command,
) -> Result<Answer, Refusal> {
    let body: body::Reason = call.body_or_default()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, act)
        .await?;
    let id = call.id("runtime_id")?;
    let held = move |state: &State| tag(state.runtime(id)?, state.directives(id)).ok();
    let executed = admin
        .execute_tagged(&call, tenant.id, command(id, body.reason), held)
        .await?;
    Ok(answer(&admin, &tenant, id).await?.of(&executed))
}

async fn resolve_clone(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let (tenant, runtime) = (call.id("tenant_id")?, call.id("runtime_id")?);
    let command = |runtime, reason| Command::ResolveClone { runtime, reason };
    let answer = change(Arc::clone(&admin), call, Act::Govern, command).await;
    let unknown = |refusal: &Refusal| refusal.code() == Code::OutcomeUnknown;
    if answer.as_ref().err().is_none_or(unknown) {
        admin.context.directory.copies_resolved(tenant, runtime);
    }
    answer
}

async fn answer(admin: &Admin, tenant: &TenantRecord, id: RuntimeId) -> Result<Answer, Refusal> {
    let record = record(admin, tenant.id, id).await?;
    let directives = admin.entity(tenant.id, EntityKey::Directives(id)).await?;
    let tag = tag(&record, directives_in(directives.as_deref()))?;
    let views = views(admin, tenant, &[record]).await?;
    let view = views.first().ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(view)?.tagged(tag))
}

/// Shows runtimes with all that is known of them.
pub(super) async fn views(
    admin: &Admin,
    tenant: &TenantRecord,
    records: &[RuntimeRecord],
) -> Result<Vec<Runtime>, Refusal> {
    let keys = records
        .iter()
        .flat_map(|one| [EntityKey::Directives(one.id), EntityKey::Copies(one.id)]);
    let found = admin.backend().entities(tenant.id, keys.collect()).await?;
    let find = |key: EntityKey| {
        let entity = found.iter().find(|(found, _)| *found == key);
        entity.and_then(|(_, entity)| entity.as_deref())
    };
    let (now, level) = (admin.now(), tenant.policies.security_level);
    let view = |record: &RuntimeRecord| {
        let live = admin.context.directory.live(tenant.id, record.id);
        let directives = directives_in(find(EntityKey::Directives(record.id)));
        let copies = match find(EntityKey::Copies(record.id)) {
            Some(Entity::Copies(copies)) => Some(Copies::new(copies, level, now)),
            _ => None,
        };
        Runtime::new(tenant.id, record, live)
            .with(Directives::new(record.id, directives, now), copies)
    };
    Ok(records.iter().map(view).collect())
}

pub(super) const fn directives_in(entity: Option<&Entity>) -> Option<&DirectivesRecord> {
    match entity {
        Some(Entity::Directives(record)) => Some(record),
        _ => None,
    }
}

pub(super) async fn record(
    admin: &Admin,
    tenant: TenantId,
    runtime: RuntimeId,
) -> Result<RuntimeRecord, Refusal> {
    match admin
        .entity(tenant, EntityKey::Runtime(runtime))
        .await?
        .as_deref()
    {
        Some(Entity::Runtime(record)) => Ok(RuntimeRecord::clone(record)),
        _ => Err(Refusal::not_found()),
    }
}

/// Without what moves by itself: health and confirmations are no change that somebody made.
pub(super) fn tag(
    record: &RuntimeRecord,
    directives: Option<&DirectivesRecord>,
) -> Result<String, Refusal> {
    etag_of(&(
        record.id,
        record.status,
        &record.cnf,
        &record.serials,
        &record.version,
        directives,
    ))
}
