//! `/v1/tenants/{tenant_id}/runtimes`.

use std::sync::Arc;

use provost_kernel::{
    Command,
    state::{Entity, EntityKey, RuntimeRecord},
};
use provost_protocol::{RuntimeId, TenantId};

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    body,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::Runtime,
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
        about: "Lets a suspended runtime act again.",
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
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/revoke",
        id: "revoke_runtime",
        about: "Refuses a runtime for ever and closes its connections.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Runtime"),
        query: &[],
        handler: |admin, call| Box::pin(revoke(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let directory = &admin.context.directory;
    let page = admin.page(tenant.id, "runtime/", &paging, |_, entity| match entity {
        Entity::Runtime(record) => Some(Runtime::new(
            tenant.id,
            record,
            directory.live(tenant.id, record.id),
        )),
        _ => None,
    });
    Answer::ok(&page.await?)
}

async fn show(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let record = record(&admin, tenant.id, call.id("runtime_id")?).await?;
    answer(&admin, tenant.id, &record)
}

async fn change(
    admin: Arc<Admin>,
    call: Call,
    act: Act,
    command: fn(RuntimeId, String) -> Command,
) -> Result<Answer, Refusal> {
    let body: body::Reason = call.body_or_default()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, act)
        .await?
        .id;
    let id = call.id("runtime_id")?;
    call.check_match(&tag(&record(&admin, tenant, id).await?)?)?;
    let executed = admin
        .execute(&call, tenant, command(id, body.reason))
        .await?;
    let record = record(&admin, tenant, id).await?;
    Ok(answer(&admin, tenant, &record)?.of(&executed))
}

async fn revoke(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let (tenant, runtime) = (call.id("tenant_id")?, call.id("runtime_id")?);
    let command = |runtime, reason| Command::RevokeRuntime { runtime, reason };
    let answer = change(Arc::clone(&admin), call, Act::Within, command).await?;
    // Also where it was revoked before: whoever asks again wants to be sure.
    let serials = record(&admin, tenant, runtime).await?.serials;
    admin.context.on_revoked.tell(tenant, runtime, &serials);
    Ok(answer)
}

fn answer(admin: &Admin, tenant: TenantId, record: &RuntimeRecord) -> Result<Answer, Refusal> {
    let live = admin.context.directory.live(tenant, record.id);
    Ok(Answer::ok(&Runtime::new(tenant, record, live))?.tagged(tag(record)?))
}

async fn record(
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
fn tag(record: &RuntimeRecord) -> Result<String, Refusal> {
    etag_of(&(
        record.id,
        record.status,
        &record.cnf,
        &record.serials,
        &record.version,
    ))
}
