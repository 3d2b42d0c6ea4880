//! `/v1/tenants/{tenant_id}/licenses`: the newest license of each runtime for a tenant.

use std::sync::Arc;

use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::RuntimeId;

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    call::Call,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::License,
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/licenses",
        id: "list_licenses",
        about: "Lists the newest license of each runtime for a tenant.",
        needs: Needs::Read,
        body: None,
        answer: (200, "LicensePage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/licenses/{runtime_id}",
        id: "show_license",
        about: "Shows what is kept of a runtime's newest license; its text is with the runtime.",
        needs: Needs::Read,
        body: None,
        answer: (200, "License"),
        query: &[],
        handler: |admin, call| Box::pin(show(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let page = admin.page(tenant.id, "license/", &paging, |key, entity| {
        match (key, entity) {
            (EntityKey::License(runtime), Entity::License(head)) => {
                Some(License::new(*runtime, head))
            }
            _ => None,
        }
    });
    Answer::ok(&page.await?)
}

async fn show(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let runtime: RuntimeId = call.id("runtime_id")?;
    match admin
        .entity(tenant.id, EntityKey::License(runtime))
        .await?
        .as_deref()
    {
        Some(Entity::License(head)) => {
            let view = License::new(runtime, head);
            Ok(Answer::ok(&view)?.tagged(etag_of(&view)?))
        }
        _ => Err(Refusal::not_found()),
    }
}
