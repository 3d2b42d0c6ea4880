//! `/v1/tenants/{tenant_id}/attachments`: shared runtimes of the operator that act for a tenant.

use std::sync::Arc;

use provost_kernel::{
    Command,
    command::Attach,
    state::{Entity, EntityKey},
};
use provost_protocol::{Code, RuntimeId, TenantId};

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::Attachment,
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/attachments",
        id: "list_attachments",
        about: "Lists the shared runtimes that may act for a tenant.",
        needs: Needs::Read,
        body: None,
        answer: (200, "AttachmentPage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/attachments",
        id: "attach_runtime",
        about: "Lets a shared runtime of the tenant's operator act for it.",
        needs: Needs::Write,
        body: Some("AttachRuntime"),
        answer: (201, "Attachment"),
        query: &[],
        handler: |admin, call| Box::pin(attach(admin, call)),
    },
    Route {
        method: Method::Delete,
        path: "/v1/tenants/{tenant_id}/attachments/{runtime_id}",
        id: "detach_runtime",
        about: "Ends that a shared runtime may act for a tenant.",
        needs: Needs::Write,
        body: None,
        answer: (200, "Attachment"),
        query: &[],
        handler: |admin, call| Box::pin(detach(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let page = admin.page(
        tenant.id,
        "attachment/",
        &paging,
        |_, entity| match entity {
            Entity::Attachment(record) => Some(Attachment::from(record)),
            _ => None,
        },
    );
    Answer::ok(&page.await?)
}

async fn attach(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::AttachRuntime = call.body()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Govern)
        .await?;
    let Some(operator) = tenant.operator else {
        let text = "runtime_id: the tenant has no operator whose runtimes could act for it";
        return Err(Refusal::new(Code::Invalid, text));
    };
    // The facts are the operator's: who may not see it does not see its runtimes.
    admin.reach(&call.caller, operator, Act::Within).await?;
    let found = admin
        .entity(operator, EntityKey::Runtime(body.runtime_id))
        .await?;
    let Some(Entity::Runtime(runtime)) = found.as_deref() else {
        return Err(Refusal::not_found());
    };
    let command = Command::Attach(Attach {
        runtime: runtime.id,
        operator,
        deployment_mode: runtime.deployment_mode,
        status: runtime.status,
        cnf: runtime.cnf.clone(),
    });
    let executed = admin.execute(&call, tenant.id, command).await?;
    let attached = record(&admin, tenant.id, body.runtime_id).await?;
    Ok(Answer::created(&attached)?.of(&executed))
}

async fn detach(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Govern)
        .await?;
    let runtime: RuntimeId = call.id("runtime_id")?;
    let attached = record(&admin, tenant.id, runtime).await?;
    let executed = admin
        .execute(&call, tenant.id, Command::Detach { runtime })
        .await?;
    Ok(Answer::ok(&attached)?.of(&executed))
}

async fn record(
    admin: &Admin,
    tenant: TenantId,
    runtime: RuntimeId,
) -> Result<Attachment, Refusal> {
    match admin
        .entity(tenant, EntityKey::Attachment(runtime))
        .await?
        .as_deref()
    {
        Some(Entity::Attachment(record)) => Ok(Attachment::from(record)),
        _ => Err(Refusal::not_found()),
    }
}
