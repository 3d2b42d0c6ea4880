//! `/v1/keys/ca`: the certificate authority, and the steps of its rotation.
//!
//! Every step: what it needs on disk, the command in the internal tenant's log, then the roots are
//! taken into use. A step that died in between is finished by the next start.

use std::{sync::Arc, time::Duration};

use provost_kernel::{
    Command,
    command::RotateCa,
    state::{RotationPhase, RotationRecord},
};
use provost_protocol::{Code, Timestamp};
use serde::Deserialize;

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    body::{CaStep, RotateCa as Body},
    call::Call,
    page::{cursor, limit_of, read_cursor},
    reach::Act,
    routes::{Method, Route},
    view::{Adoption, Ca as CaView, CaRuntime, Page, Rotated},
};
use crate::{
    ca::{CaError, Counted, Place, Seen},
    problem::Refusal,
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/keys/ca",
        id: "show_ca",
        about: "Shows the certificate authority, where its rotation stands, and how many runtimes trust it.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Ca"),
        query: &[],
        handler: |admin, call| Box::pin(show(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/keys/ca/runtimes",
        id: "list_ca_runtimes",
        about: "Lists runtimes by whether they trust the roots in force; `adoption`: confirmed, missing, delivered or suspended.",
        needs: Needs::Read,
        body: None,
        answer: (200, "CaRuntimePage"),
        query: &["limit", "page[cursor]", "adoption"],
        handler: |admin, call| Box::pin(list(admin, call)),
    },
    Route {
        method: Method::Post,
        path: "/v1/keys/ca/rotation",
        id: "rotate_ca",
        about: "Takes a step of a rotation: prepare, activate, retire or abort.",
        needs: Needs::Write,
        body: Some("RotateCa"),
        answer: (200, "Rotated"),
        query: &[],
        handler: |admin, call| Box::pin(rotate(admin, call)),
    },
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    limit: Option<usize>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
    adoption: Option<String>,
}

async fn show(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    only_the_installation(&admin, &call, Act::Within).await?;
    let record = admin.context.ca.rotation().await?;
    Answer::ok(&shown(&admin, record.as_ref()).await?)
}

async fn list(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    only_the_installation(&admin, &call, Act::Within).await?;
    let wanted: Wanted = call.query()?;
    let limit = limit_of(wanted.limit)?;
    let after: Option<Place> = wanted.cursor.as_deref().map(read_cursor).transpose()?;
    let words = ["confirmed", "missing", "delivered", "suspended"];
    if wanted
        .adoption
        .as_deref()
        .is_some_and(|word| !words.contains(&word))
    {
        let text = "adoption: confirmed, missing, delivered or suspended";
        return Err(Refusal::new(Code::Invalid, text));
    }
    let page = within(page(&admin, after, limit, wanted.adoption.as_deref())).await?;
    Answer::ok(&page)
}

async fn rotate(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    only_the_installation(&admin, &call, Act::Govern).await?;
    let body: Body = call.body()?;
    let ca = Arc::clone(&admin.context.ca);
    let mut turn = ca.turn().await;
    let before = ca.rotation().await?;
    let (step, cut_off) = match body.step {
        CaStep::Prepare => (ca.make_next().await?, 0),
        CaStep::Activate => activate(&admin, before.as_ref(), body.force).await?,
        CaStep::Retire => retire(&admin, before.as_ref(), body.force).await?,
        CaStep::Abort => (RotateCa::Abort, 0),
    };
    let internal = admin.context.internal_tenant;
    let executed = admin
        .execute(&call, internal, Command::RotateCa(step))
        .await;
    // Also where it was refused: a root that was made for nothing is swept.
    ca.refresh(&mut turn).await?;
    admin.context.directory.look_again();
    let executed = executed?;
    let record = ca.rotation().await?;
    tracing::info!(step = ?body.step, force = body.force, cut_off, "a step of the CA's rotation was taken");
    let ca = shown(&admin, record.as_ref()).await?;
    Ok(Answer::ok(&Rotated { ca, cut_off })?.of(&executed))
}

async fn activate(
    admin: &Admin,
    before: Option<&RotationRecord>,
    force: bool,
) -> Result<(RotateCa, u64), Refusal> {
    let (mut missing, mut suspended) = (0, 0);
    if let Some(RotationPhase::Prepared { next, .. }) = before.map(|record| &record.phase) {
        admin.context.ca.is_at_hand(next).await?;
        let counted = within(count(admin, None)).await?;
        missing = counted.active - counted.confirmed;
        suspended = counted.suspended;
    }
    Ok((RotateCa::Activate { missing, force }, missing + suspended))
}

async fn retire(
    admin: &Admin,
    before: Option<&RotationRecord>,
    force: bool,
) -> Result<(RotateCa, u64), Refusal> {
    let mut cut_off = 0;
    if let Some(moment) = before.and_then(old_until) {
        cut_off = within(count(admin, Some(moment))).await?.certified_before;
    }
    Ok((RotateCa::Retire { cut_off, force }, cut_off))
}

/// Certificates issued before this moment are of the old root.
fn old_until(record: &RotationRecord) -> Option<Timestamp> {
    match record.phase {
        RotationPhase::Activated { .. } => Some(record.since.plus_millis(SIGNED_LATE_MS)),
        RotationPhase::Settled | RotationPhase::Prepared { .. } => None,
    }
}

async fn count(admin: &Admin, issued_before: Option<Timestamp>) -> Result<Counted, Refusal> {
    let fleet = admin.context.ca.fleet(bundle(admin));
    Ok(fleet.count(issued_before).await?)
}

async fn shown(admin: &Admin, record: Option<&RotationRecord>) -> Result<CaView, Refusal> {
    let phase = record.map_or(&RotationPhase::Settled, |record| &record.phase);
    let (name, next, old) = match phase {
        RotationPhase::Settled => ("settled", None, None),
        RotationPhase::Prepared { next, .. } => ("prepared", Some(next.clone()), None),
        RotationPhase::Activated { old } => ("activated", None, Some(old.clone())),
    };
    let adoption = if *phase == RotationPhase::Settled {
        None
    } else {
        let counted = within(count(admin, record.and_then(old_until))).await?;
        Some(Adoption {
            active: counted.active,
            confirmed: counted.confirmed,
            missing: counted.active - counted.confirmed,
            delivered: counted.delivered,
            suspended: counted.suspended,
            old_certificates: counted.certified_before,
        })
    };
    Ok(CaView {
        phase: name.to_owned(),
        since: record.map(|record| record.since),
        active: hex::encode(admin.context.ca.roots().root_sha256()),
        next,
        old,
        bundle: bundle(admin),
        adoption,
    })
}

async fn page(
    admin: &Admin,
    mut after: Option<Place>,
    limit: usize,
    adoption: Option<&str>,
) -> Result<Page<CaRuntime>, Refusal> {
    let fleet = admin.context.ca.fleet(bundle(admin));
    let mut items: Vec<CaRuntime> = Vec::new();
    loop {
        let seen = fleet.page(after, limit).await?;
        let end = seen.len() < limit;
        for one in &seen {
            if items.len() == limit {
                return Ok(Page {
                    items,
                    next_cursor: after.map(|place| cursor(&place)),
                });
            }
            after = Some(Place(one.tenant, one.record.id));
            let word = word_of(one);
            let listed = one.is_active() || one.is_suspended();
            if listed && adoption.is_none_or(|wanted| wanted == word) {
                items.push(runtime(admin, one, word));
            }
        }
        if end {
            let next_cursor = None;
            return Ok(Page { items, next_cursor });
        }
    }
}

fn runtime(admin: &Admin, seen: &Seen, adoption: &str) -> CaRuntime {
    let record = &seen.record;
    let live = admin.context.directory.live(seen.tenant, record.id);
    CaRuntime {
        tenant_id: seen.tenant,
        runtime_id: record.id,
        status: record.status,
        contract_version: record.contract_version,
        adoption: adoption.to_owned(),
        confirmed: seen.confirmed,
        lost: record.lost,
        last_seen: live.and_then(|live| live.last_beat),
        certificate_not_after: record.certificate_not_after,
    }
}

fn word_of(seen: &Seen) -> &'static str {
    match seen.confirmed {
        Some(_) => "confirmed",
        None if seen.is_suspended() => "suspended",
        None if seen.cannot_confirm() => "delivered",
        None => "missing",
    }
}

fn bundle(admin: &Admin) -> String {
    admin.context.ca.roots().now().bundle().id()
}

/// Roots are the installation's: for everybody else there is no such path.
async fn only_the_installation(admin: &Admin, call: &Call, act: Act) -> Result<(), Refusal> {
    let internal = admin.context.internal_tenant;
    admin.reach(&call.caller, internal, act).await.map(drop)
}

/// A walk over the fleet that takes longer is given up.
async fn within<T>(walk: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(WALK_WITHIN, walk)
        .await
        .unwrap_or_else(|_| {
            let text = "the fleet could not be counted in time";
            Err(Refusal::new(Code::Overloaded, text))
        })
}

impl From<CaError> for Refusal {
    fn from(error: CaError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the certificate authority cannot be used"
        );
        Self::new(Code::Internal, "the certificate authority cannot be used")
    }
}

/// A certificate is signed just before its event: what was signed by the old root may be dated a
/// little after the new one's activation. That is in force once its event is read back: at the worst
/// by the second look of those that are taken every ten seconds, each of up to five; and a command
/// waits five seconds for its own date. Until then a certificate counts as old.
const SIGNED_LATE_MS: u64 = 40_000;

/// Of the 15 seconds that a request has; a hundred thousand runtimes take about one.
const WALK_WITHIN: Duration = Duration::from_secs(10);
