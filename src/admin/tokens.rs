//! `/v1/tenants/{tenant_id}/tokens`: enrolment tokens.

use std::sync::Arc;

use provost_kernel::{
    Command,
    command::CreateToken,
    state::{Entity, EntityKey},
};
use provost_protocol::{
    Code, TenantId, TokenId,
    event::Event,
    token::{EnrolmentToken, SECRET_BYTES},
};

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    key::Derived,
    page::Paging,
    reach::Act,
    routes::{Method, Route},
    view::{Token, TokenCreated},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/tokens",
        id: "list_tokens",
        about: "Lists a tenant's enrolment tokens, without their secrets.",
        needs: Needs::Read,
        body: None,
        answer: (200, "TokenPage"),
        query: &["limit", "page[cursor]"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/tokens",
        id: "create_token",
        about: "Creates an enrolment token; its text is answered here and never again.",
        needs: Needs::Write,
        body: Some("CreateToken"),
        answer: (201, "TokenCreated"),
        query: &[],
        handler: |admin, call| Box::pin(create(admin, call)),
    },
    Route {
        method: Method::Delete,
        path: "/v1/tenants/{tenant_id}/tokens/{token_id}",
        id: "revoke_token",
        about: "Lets nobody enroll with a token any more.",
        needs: Needs::Write,
        body: None,
        answer: (200, "Token"),
        query: &[],
        handler: |admin, call| Box::pin(revoke(admin, call)),
    },
];

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let paging: Paging = call.query()?;
    let page = admin.page(tenant.id, "token/", &paging, |_, entity| match entity {
        Entity::Token(record) => Some(Token::from(record)),
        _ => None,
    });
    Answer::ok(&page.await?)
}

async fn create(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::CreateToken = call.body()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let fresh = TokenId::from_parts(admin.now(), admin.id_bytes());
    let secret = secret_of(&admin, &call, tenant.id, fresh);
    let command = Command::CreateToken(CreateToken {
        token: fresh,
        secret_sha256: hex::encode(text_of(&admin, fresh, secret)?.secret_sha256()),
        runtime_type: body.runtime_type,
        deployment_mode: body.deployment_mode,
        uses: body.uses.unwrap_or(1),
        expires: admin
            .now()
            .plus_millis(body.ttl_ms.unwrap_or(TTL_MS_DEFAULT)),
    });
    let executed = admin.execute(&call, tenant.id, command).await?;
    let created = executed
        .events
        .iter()
        .find_map(|envelope| match &envelope.event {
            Event::EnrolmentTokenCreated(created) => Some(created.token),
            _ => None,
        });
    let id = created.ok_or_else(Refusal::not_found)?;
    // The first one's, where this request is a repeated one: the secret follows from the id.
    let secret = if id == fresh {
        secret
    } else {
        secret_of(&admin, &call, tenant.id, id)
    };
    let answer = TokenCreated {
        token: text_of(&admin, id, secret)?.to_text(),
        record: record(&admin, tenant.id, id).await?,
    };
    Ok(Answer::created(&answer)?.of(&executed))
}

async fn revoke(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let token: TokenId = call.id("token_id")?;
    let executed = admin
        .execute(&call, tenant.id, Command::RevokeToken { token })
        .await?;
    Ok(Answer::ok(&record(&admin, tenant.id, token).await?)?.of(&executed))
}

fn secret_of(admin: &Admin, call: &Call, tenant: TenantId, id: TokenId) -> [u8; SECRET_BYTES] {
    let whole = match call.idempotency() {
        Some(_) => call
            .caller
            .key
            .derive(Derived::EnrolmentToken, tenant, id.as_bytes()),
        None => admin.secret(),
    };
    let mut secret = [0; SECRET_BYTES];
    secret.copy_from_slice(&whole[..SECRET_BYTES]);
    secret
}

fn text_of(
    admin: &Admin,
    id: TokenId,
    secret: [u8; SECRET_BYTES],
) -> Result<EnrolmentToken, Refusal> {
    let addr = &admin.context.enrolment.addr;
    let root_sha256 = admin.context.ca.roots().root_sha256();
    EnrolmentToken::new(addr, id, secret, root_sha256).map_err(|error| {
        tracing::error!(%error, "runtime.advertise does not fit into a token");
        Refusal::new(Code::Internal, "an internal error")
    })
}

async fn record(admin: &Admin, tenant: TenantId, token: TokenId) -> Result<Token, Refusal> {
    match admin
        .entity(tenant, EntityKey::Token(token))
        .await?
        .as_deref()
    {
        Some(Entity::Token(record)) => Ok(Token::from(record)),
        _ => Err(Refusal::not_found()),
    }
}

/// A day: an installation is made when it is prepared.
const TTL_MS_DEFAULT: u64 = 24 * 60 * 60 * 1_000;
