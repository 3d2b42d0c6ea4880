//! Shutting out: one runtime, one certificate, or every runtime of a tenant.
//!
//! The event first; then the serial numbers are refused at handshakes, and whoever is connected is
//! made to look again and closes. Who was connected has been told; everybody else goes on with its
//! license until that ends, and the answer says who and until when.

mod all;
mod outcome;

use std::sync::Arc;

use provost_actors::LiveRuntime;
use provost_kernel::{
    Command, State,
    state::{EntityKey, RuntimeRecord, TenantRecord},
};
use provost_protocol::{Code, RuntimeId, TenantId, entity::RuntimeStatus};

use self::outcome::{Held, Missed, Outcome};
use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    reach::Act,
    routes::{Method, Route},
    runtimes,
    view::RuntimeRevoked,
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/revoke",
        id: "revoke_runtime",
        about: "Refuses a runtime for ever, closes its connections, and says who was not told.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "RuntimeRevoked"),
        query: &[],
        handler: |admin, call| Box::pin(revoke_runtime(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/certificates/revoke",
        id: "revoke_certificate",
        about: "Refuses one certificate of a runtime and closes the connections that showed it.",
        needs: Needs::Write,
        body: Some("RevokeCertificate"),
        answer: (200, "RuntimeRevoked"),
        query: &[],
        handler: |admin, call| Box::pin(revoke_certificate(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/tenants/{tenant_id}/runtimes/revoke",
        id: "revoke_runtimes",
        about: "Refuses every runtime of a tenant for ever, so many at once; goes on at the cursor.",
        needs: Needs::Write,
        body: Some("RevokeAll"),
        answer: (200, "Revocation"),
        query: &[],
        handler: |admin, call| Box::pin(all::revoke(admin, call)),
    },
];

async fn revoke_runtime(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::Reason = call.body_or_default()?;
    let (own, id) = reached(&admin, &call).await?;
    let tenant = own.id;
    let before = runtimes::record(&admin, tenant, id).await?;
    let live = admin.context.directory.live(tenant, id);
    let command = Command::RevokeRuntime {
        runtime: id,
        reason: body.reason,
    };
    let held = move |state: &State| runtimes::tag(state.runtime(id)?, state.directives(id)).ok();
    let executed = admin.execute_tagged(&call, tenant, command, held).await;
    let mut out = [(id, before.serials)];
    if let Ok(executed) = &executed {
        with_serials_of(&mut out, &executed.state);
    }
    // Also where it was revoked before: whoever asks again wants to be sure.
    if executed.as_ref().err().is_none_or(is_unknown) {
        shut_out(&admin, tenant, &out).await;
    }
    let executed = executed?;
    let record = runtimes::record(&admin, tenant, id).await?;
    let already = before.status == RuntimeStatus::Revoked;
    let answer = answered(&admin, &own, record, (live, already)).await?;
    Ok(answer.of(&executed))
}

async fn revoke_certificate(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::RevokeCertificate = call.body()?;
    let (own, id) = reached(&admin, &call).await?;
    let tenant = own.id;
    let live = admin.context.directory.live(tenant, id);
    let serial = body.serial.to_ascii_lowercase();
    let key = EntityKey::RevokedCertificate(serial.clone());
    let already = admin.entity(tenant, key).await?.is_some();
    let command = Command::RevokeCertificate {
        runtime: id,
        serial: serial.clone(),
        reason: body.reason,
    };
    let held = move |state: &State| runtimes::tag(state.runtime(id)?, state.directives(id)).ok();
    let executed = admin.execute_tagged(&call, tenant, command, held).await;
    if executed.as_ref().err().is_none_or(is_unknown) {
        shut_out(&admin, tenant, &[(id, vec![serial])]).await;
    }
    let executed = executed?;
    let record = runtimes::record(&admin, tenant, id).await?;
    let answer = answered(&admin, &own, record, (live, already)).await?;
    Ok(answer.of(&executed))
}

/// Adds the serial numbers that a later state holds.
fn with_serials_of(runtimes: &mut [(RuntimeId, Vec<String>)], state: &State) {
    for (id, serials) in runtimes {
        if let Some(record) = state.runtime(*id) {
            serials.extend(record.serials.iter().cloned());
            serials.sort_unstable();
            serials.dedup();
        }
    }
}

/// Whether the log may yet say so, or says so already. Whoever asked wants the runtime out: it is,
/// until the next start says what became durable.
fn is_unknown(refusal: &Refusal) -> bool {
    refusal.code() == Code::OutcomeUnknown
}

/// Refuses the serial numbers from the next handshake and request on, and has whoever is connected
/// look again.
async fn shut_out(admin: &Admin, tenant: TenantId, runtimes: &[(RuntimeId, Vec<String>)]) {
    admin.context.on_revoked.tell(tenant, runtimes);
    if let Ok(handle) = admin.context.directory.tenant(tenant).await {
        handle.look_again();
    }
}

async fn reached(admin: &Admin, call: &Call) -> Result<(TenantRecord, RuntimeId), Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    Ok((tenant, call.id("runtime_id")?))
}

async fn answered(
    admin: &Admin,
    tenant: &TenantRecord,
    record: RuntimeRecord,
    (live, already): (Option<LiveRuntime>, bool),
) -> Result<Answer, Refusal> {
    let license = admin
        .entity(tenant.id, EntityKey::License(record.id))
        .await?;
    let copies = admin
        .entity(tenant.id, EntityKey::Copies(record.id))
        .await?;
    let held = Held {
        license: license.as_deref(),
        copies: copies.as_deref(),
    };
    let missed = Missed::judge(&record, &held, live, admin.now());
    let mut outcome = Outcome::default();
    if already {
        outcome.revoked_before(missed, admin.now());
    } else {
        outcome.revoked(missed);
    }
    let directives = admin
        .entity(tenant.id, EntityKey::Directives(record.id))
        .await?;
    let tag = runtimes::tag(&record, runtimes::directives_in(directives.as_deref()))?;
    let mut views = runtimes::views(admin, tenant, &[record]).await?;
    let answer = RuntimeRevoked {
        runtime: views.pop().ok_or_else(Refusal::not_found)?,
        revocation: outcome.shown(),
    };
    Ok(Answer::ok(&answer)?.tagged(tag))
}
