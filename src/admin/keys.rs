//! `/v1/keys`, the installation's public keys, and `/v1/admin-keys`.

use std::sync::Arc;

use provost_kernel::{
    Command,
    state::{Entity, EntityKey},
};
use provost_protocol::{Code, TenantId, entity::Role, event::Event, ids::AdminKeyId};
use serde::Deserialize;

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    key::{AdminKey, Derived},
    page::{Paging, limit_of},
    reach::Act,
    routes::{Method, Route},
    view::{self, AdminKeyCreated},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/keys",
        id: "show_keys",
        about: "Shows the public halves of the installation's keys and its root certificate.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Keys"),
        query: &[],
        handler: |admin, _| Box::pin(async move { Answer::ok(&keys(&admin)) }),
    },
    Route {
        method: Method::Get,
        path: "/v1/admin-keys",
        id: "list_admin_keys",
        about: "Lists the admin keys of a tenant (absent: the caller's own), without their secrets.",
        needs: Needs::Read,
        body: None,
        answer: (200, "AdminKeyPage"),
        query: &["limit", "page[cursor]", "tenant_id"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/admin-keys",
        id: "create_admin_key",
        about: "Creates an admin key; its text is answered here and never again.",
        needs: Needs::Write,
        body: Some("CreateAdminKey"),
        answer: (201, "AdminKeyCreated"),
        query: &[],
        handler: |admin, call| Box::pin(create(admin, call)),
    },
];

/// The roots are those of this moment; all of them are to be trusted.
fn keys(admin: &Admin) -> view::Keys {
    let roots = admin.context.ca.roots();
    view::Keys {
        keys: admin.context.keys.clone(),
        root_pem: roots.root_pem(),
        root_sha256: hex::encode(roots.root_sha256()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    limit: Option<usize>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
    tenant_id: Option<String>,
}

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let wanted: Wanted = call.query()?;
    let named = wanted.tenant_id.map(|text| text.parse()).transpose();
    let named: Option<TenantId> =
        named.map_err(|_| Refusal::new(Code::IdMalformed, "tenant_id is no id"))?;
    let id = named.unwrap_or_else(|| call.caller.key.tenant());
    let tenant = admin.reach(&call.caller, id, Act::Within).await?.id;
    let paging = Paging::new(limit_of(wanted.limit)?, wanted.cursor);
    let page = admin.page(tenant, "admin-key/", &paging, |_, entity| match entity {
        Entity::AdminKey(record) => Some(view::AdminKey::new(tenant, record)),
        _ => None,
    });
    Answer::ok(&page.await?)
}

async fn create(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::CreateAdminKey = call.body()?;
    if body.role == Role::SuperAdmin && call.caller.role != Role::SuperAdmin {
        let text = "only a key of role super_admin makes another";
        return Err(Refusal::new(Code::RoleInsufficient, text));
    }
    let named = body.tenant_id.unwrap_or_else(|| call.caller.key.tenant());
    let tenant = admin.reach(&call.caller, named, Act::Within).await?.id;
    let fresh = AdminKeyId::from_parts(admin.now(), admin.id_bytes());
    let key = key_of(&admin, &call, tenant, fresh);
    let command = Command::CreateAdminKey {
        key: fresh,
        name: body.name,
        role: body.role,
        secret_sha256: key.sha256_hex(),
    };
    let executed = admin.execute(&call, tenant, command).await?;
    let created = executed
        .events
        .iter()
        .find_map(|envelope| match &envelope.event {
            Event::AdminKeyCreated(created) => Some(created.key),
            _ => None,
        });
    let id = created.ok_or_else(Refusal::not_found)?;
    let key = if id == fresh {
        key
    } else {
        key_of(&admin, &call, tenant, id)
    };
    let found = admin.entity(tenant, EntityKey::AdminKey(id)).await?;
    let Some(Entity::AdminKey(record)) = found.as_deref() else {
        return Err(Refusal::not_found());
    };
    let answer = AdminKeyCreated {
        key: key.to_text(),
        record: view::AdminKey::new(tenant, record),
    };
    Ok(Answer::created(&answer)?.of(&executed))
}

fn key_of(admin: &Admin, call: &Call, tenant: TenantId, id: AdminKeyId) -> AdminKey {
    let secret = match call.idempotency() {
        Some(_) => call
            .caller
            .key
            .derive(Derived::AdminKey, tenant, id.as_bytes()),
        None => admin.secret(),
    };
    AdminKey::new(tenant, id, secret)
}
