//! Shutting out: one runtime, one certificate, or every runtime of a tenant.
//!
//! The event first; then the serial numbers are refused at handshakes, and whoever is connected is
//! made to look again and closes. Who was connected has been told; everybody else goes on with its
//! license until that ends, and the answer says who and until when.

use std::sync::Arc;

use provost_actors::{LiveRuntime, Meta};
use provost_kernel::{
    Command, State,
    license::LicensePolicy,
    limits::REVOKED_AT_ONCE_MAX,
    state::{Entity, EntityKey, RuntimeRecord, TenantRecord},
};
use provost_protocol::{
    Code, RuntimeId, TenantId, Timestamp,
    entity::{DeploymentMode, Liveness, RuntimeStatus, SecurityLevel},
};

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body,
    call::Call,
    reach::Act,
    routes::{Method, Route},
    runtimes,
    view::{NotReached, Revocation, RuntimeRevoked},
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
        about: "Refuses every runtime of a tenant for ever; asked again, it goes on where it was.",
        needs: Needs::Write,
        body: Some("Reason"),
        answer: (200, "Revocation"),
        query: &[],
        handler: |admin, call| Box::pin(revoke_all(admin, call)),
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
    let answer = answered(&admin, &own, record, live).await?;
    Ok(answer.of(&executed))
}

async fn revoke_certificate(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::RevokeCertificate = call.body()?;
    let (own, id) = reached(&admin, &call).await?;
    let tenant = own.id;
    let live = admin.context.directory.live(tenant, id);
    let serial = body.serial.to_ascii_lowercase();
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
    let answer = answered(&admin, &own, record, live).await?;
    Ok(answer.of(&executed))
}

async fn revoke_all(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::Reason = call.body_or_default()?;
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?
        .id;
    let mut outcome = Outcome::default();
    let mut after = None;
    loop {
        let limit = usize::try_from(REVOKED_AT_ONCE_MAX).unwrap_or(1);
        let page = admin
            .backend()
            .scan(tenant, "runtime/", after, limit)
            .await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let records: Vec<RuntimeRecord> = page
            .iter()
            .filter_map(|(_, entity)| match &**entity {
                Entity::Runtime(record) => Some(RuntimeRecord::clone(record)),
                _ => None,
            })
            .collect();
        revoke_page(&admin, &call, (tenant, &body.reason), records, &mut outcome).await?;
    }
    Answer::ok(&outcome.shown())
}

/// Revokes one page of a tenant's runtimes. No idempotency key of the request goes with it: each
/// page is a command of its own, and a runtime that is revoked is passed over.
async fn revoke_page(
    admin: &Admin,
    call: &Call,
    (tenant, reason): (TenantId, &str),
    records: Vec<RuntimeRecord>,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let standing: Vec<&RuntimeRecord> = records
        .iter()
        .filter(|record| record.status != RuntimeStatus::Revoked)
        .collect();
    let mut all: Vec<_> = records
        .iter()
        .map(|record| (record.id, record.serials.clone()))
        .collect();
    let mut judged = Vec::new();
    for record in &standing {
        let live = admin.context.directory.live(tenant, record.id);
        judged.push(not_reached(admin, tenant, record, live).await?);
    }
    if !standing.is_empty() {
        let command = Command::RevokeRuntimes {
            runtimes: standing.iter().map(|record| record.id).collect(),
            reason: reason.to_owned(),
        };
        let meta = Meta {
            idempotency: None,
            ..call.meta()
        };
        let handle = admin.context.directory.tenant(tenant).await?;
        let executed = handle.execute(command, meta).await.map_err(Refusal::from);
        match executed {
            // What was certified since the page was read stands in what the log made of it.
            Ok(executed) => with_serials_of(&mut all, &executed.state),
            Err(refusal) => {
                if is_unknown(&refusal) {
                    shut_out(admin, tenant, &all).await;
                }
                return Err(refusal);
            }
        }
    }
    shut_out(admin, tenant, &all).await;
    for missed in judged {
        outcome.count(missed);
    }
    Ok(())
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
    live: Option<LiveRuntime>,
) -> Result<Answer, Refusal> {
    let mut outcome = Outcome::default();
    outcome.count(not_reached(admin, tenant.id, &record, live).await?);
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

/// Says by when a runtime that was not connected is certainly out; nothing where it was. Of one
/// that is late nobody knows whether its connection is one still.
async fn not_reached(
    admin: &Admin,
    tenant: TenantId,
    record: &RuntimeRecord,
    live: Option<LiveRuntime>,
) -> Result<Option<NotReached>, Refusal> {
    let is_there = |live: &LiveRuntime| live.connected && live.liveness == Liveness::Online;
    if live.as_ref().is_some_and(is_there) {
        return Ok(None);
    }
    let license = admin.entity(tenant, EntityKey::License(record.id)).await?;
    let mut certain_by = match license.as_deref() {
        Some(Entity::License(head)) => head.expiry.plus_millis(head.grace_ms),
        _ => admin.now(),
    };
    if record.deployment_mode == DeploymentMode::Shared {
        // Its licenses for others stand in their logs; none was issued after this moment.
        let longest = LicensePolicy::of(SecurityLevel::Standard).offline_max_ms();
        certain_by = certain_by.max(admin.now().plus_millis(longest));
    }
    Ok(Some(NotReached {
        runtime_id: record.id,
        last_seen: live.and_then(|live| live.last_beat),
        certain_by: certain_by.max(admin.now()),
    }))
}

/// What came of it so far.
#[derive(Debug, Default)]
struct Outcome {
    runtimes: u64,
    not_reached_count: u64,
    not_reached: Vec<NotReached>,
    certain_by: Option<Timestamp>,
}

impl Outcome {
    fn count(&mut self, missed: Option<NotReached>) {
        self.runtimes += 1;
        let Some(missed) = missed else { return };
        self.not_reached_count += 1;
        self.certain_by = self.certain_by.max(Some(missed.certain_by));
        if self.not_reached.len() < NAMED_MAX {
            self.not_reached.push(missed);
        }
    }

    fn shown(self) -> Revocation {
        Revocation {
            runtimes: self.runtimes,
            not_reached_count: self.not_reached_count,
            not_reached: self.not_reached,
            certain_by: self.certain_by,
        }
    }
}

/// As many as any other page of the API names.
const NAMED_MAX: usize = 100;
