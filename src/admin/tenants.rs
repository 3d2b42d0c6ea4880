//! `/v1/tenants`.

use std::sync::Arc;

use provost_kernel::{
    Command, State,
    command::CreateTenant,
    state::{EntityKey, TenantRecord},
};
use provost_protocol::{
    Code, TenantId,
    entity::{Role, TenantType},
};
use sha2::{Digest, Sha256};

use super::{
    Admin,
    answer::{Answer, etag_of},
    auth::Needs,
    body,
    call::Call,
    page::{Paging, cursor},
    reach::Act,
    routes::{Method, Route},
    view::{Page, Tenant},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants",
        id: "list_tenants",
        about: "Lists the tenants the key may see, by id.",
        needs: Needs::Read,
        body: None,
        answer: (200, "TenantPage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants",
        id: "create_tenant",
        about: "Creates a tenant.",
        needs: Needs::Write,
        body: Some("CreateTenant"),
        answer: (201, "Tenant"),
        query: &[],
        handler: |admin, call| Box::pin(create(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}",
        id: "show_tenant",
        about: "Shows a tenant.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Tenant"),
        query: &[],
        handler: |admin, call| Box::pin(show(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/suspend",
        id: "suspend_tenant",
        about: "Denies every check of a tenant until it is resumed.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Tenant"),
        query: &[],
        handler: |admin, call| {
            Box::pin(change(admin, call, |reason| Command::SuspendTenant {
                reason,
            }))
        },
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/resume",
        id: "resume_tenant",
        about: "Lets a suspended tenant act again.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Tenant"),
        query: &[],
        handler: |admin, call| {
            Box::pin(change(admin, call, |reason| Command::ResumeTenant {
                reason,
            }))
        },
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let paging: Paging = call.query()?;
    let limit = paging.limit()?;
    let mut after: Option<TenantId> = paging.after()?;
    let mut items = Vec::new();
    for _ in 0..LOOKED_THROUGH_MAX {
        let ids = admin.backend().tenants(after, limit).await?;
        let last_page = ids.len() < limit;
        for id in ids {
            after = Some(id);
            let record = admin.tenant_record(id).await?;
            items.extend(
                record
                    .filter(|record| call.caller.sees(record))
                    .as_ref()
                    .map(Tenant::from),
            );
            if items.len() == limit {
                let next_cursor = Some(cursor(&id));
                return Answer::ok(&Page { items, next_cursor });
            }
        }
        if last_page {
            let next_cursor = None;
            return Answer::ok(&Page { items, next_cursor });
        }
    }
    let next_cursor = after.as_ref().map(cursor);
    Answer::ok(&Page { items, next_cursor })
}

async fn create(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::CreateTenant = call.body()?;
    let tenant_type = body.tenant_type.unwrap_or(TenantType::Company);
    if tenant_type == TenantType::Internal {
        let text = "type: there is one internal tenant, made by `provost init`";
        return Err(Refusal::new(Code::Invalid, text));
    }
    let operator = match (call.caller.role, body.operator) {
        (Role::SuperAdmin, operator) => operator,
        (Role::Admin | Role::Auditor, None) => Some(call.caller.key.tenant()),
        (Role::Admin | Role::Auditor, Some(operator)) => {
            // Of a tenant under the caller's own, the caller would see nothing any more.
            if operator != call.caller.key.tenant() {
                return Err(Refusal::new(
                    Code::Invalid,
                    "operator: must be the key's own tenant",
                ));
            }
            Some(operator)
        }
    };
    if let Some(operator) = operator {
        let found = admin.reach(&call.caller, operator, Act::Within).await;
        found.map_err(|refusal| match refusal.code() {
            Code::NotFound => Refusal::new(Code::Invalid, "operator: there is no such tenant"),
            _ => refusal,
        })?;
    }
    let command = Command::CreateTenant(CreateTenant {
        tenant_type,
        name: body.name,
        policies: body.policies.unwrap_or_default(),
        operator,
        time_zone: body.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        region: admin.context.directory.house().region.clone(),
    });
    let id = id_for(&admin, &call);
    let (_, executed) = admin
        .context
        .directory
        .create(id, command, call.meta())
        .await?;
    let record = admin
        .tenant_record(id)
        .await?
        .ok_or_else(Refusal::not_found)?;
    Ok(Answer::created(&Tenant::from(&record))?
        .tagged(tag(&record)?)
        .of(&executed))
}

/// A new tenant's id. Under an idempotency key it follows from the key, because a repeated request
/// must find the log in which the first one stands; its time is then that of the admin key.
fn id_for(admin: &Admin, call: &Call) -> TenantId {
    let Some(idempotency) = call.idempotency() else {
        return TenantId::from_parts(admin.now(), admin.id_bytes());
    };
    let mut hasher = Sha256::new();
    hasher.update(&idempotency.scope);
    hasher.update([0]);
    hasher.update(&idempotency.key);
    let hash = hasher.finalize();
    let mut bytes = *call.caller.key.id().as_bytes();
    // RFC 9562: 48 bits of time stay, the rest but version and variant is random.
    bytes[6..].copy_from_slice(&hash[..10]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    TenantId::from_bytes(bytes).expect("the version was set to 7 above")
}

async fn show(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let record = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    Ok(Answer::ok(&Tenant::from(&record))?.tagged(tag(&record)?))
}

async fn change(
    admin: Arc<Admin>,
    call: Call,
    command: fn(String) -> Command,
) -> Result<Answer, Refusal> {
    let body: body::Reason = call.body_or_default()?;
    let id = call.id("tenant_id")?;
    admin.reach(&call.caller, id, Act::Govern).await?;
    let held = |state: &State| tag(state.tenant()?).ok();
    let executed = admin
        .execute_tagged(&call, id, command(body.reason), held)
        .await?;
    let record = admin
        .tenant_record(id)
        .await?
        .ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(&Tenant::from(&record))?
        .tagged(tag(&record)?)
        .of(&executed))
}

/// Without what every event moves: a consumption is no change of the tenant.
fn tag(record: &TenantRecord) -> Result<String, Refusal> {
    etag_of(&(
        EntityKey::Tenant.to_string(),
        record.id,
        record.status,
        record.revision,
    ))
}

/// Pages of tenants that are looked through for one answer: a key that sees few of many goes on
/// with the cursor instead of holding the readers.
const LOOKED_THROUGH_MAX: usize = 10;
