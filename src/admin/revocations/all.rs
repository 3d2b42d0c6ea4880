//! Every runtime of a tenant, so many with one request: a fleet of 100,000 takes longer than anybody
//! waits for an answer, and each answer says what came of its own part.

use std::{collections::HashMap, sync::Arc, time::Duration};

use provost_actors::Meta;
use provost_kernel::{
    Command,
    limits::REVOKED_AT_ONCE_MAX,
    state::{Entity, EntityKey, RuntimeRecord, TokenRecord},
};
use provost_protocol::{Code, RuntimeId, TenantId, Timestamp, entity::RuntimeStatus};
use tokio::time::Instant;

use super::{
    is_unknown,
    outcome::{Held, Missed, Outcome},
    shut_out, with_serials_of,
};
use crate::{
    admin::{
        Admin,
        answer::Answer,
        body,
        call::Call,
        page::{cursor, read_cursor},
        reach::Act,
    },
    problem::Refusal,
};

pub(super) async fn revoke(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let body: body::RevokeAll = call.body_or_default()?;
    let limit = body.limit.unwrap_or(RUNTIMES_AN_ANSWER_MAX);
    if !(1..=RUNTIMES_AN_ANSWER_MAX).contains(&limit) {
        let detail = format!("limit: 1 to {RUNTIMES_AN_ANSWER_MAX}");
        return Err(Refusal::new(Code::Invalid, detail));
    }
    let mut after: Option<EntityKey> = body.cursor.as_deref().map(read_cursor).transpose()?;
    if after.as_ref().is_some_and(|key| key.kind() != "runtime") {
        return Err(Refusal::new(Code::Malformed, "cursor is of another list"));
    }
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?
        .id;
    let mut outcome = Outcome::default();
    let mut more = true;
    let until = Instant::now() + BEGUN_WITHIN;
    while more && outcome.count() < limit && Instant::now() < until {
        let room = (limit - outcome.count()).min(REVOKED_AT_ONCE_MAX);
        let part = Part {
            tenant,
            after: after.clone(),
            room: usize::try_from(room).unwrap_or(1),
            reason: &body.reason,
        };
        match revoke_part(&admin, &call, part, &mut outcome).await {
            Ok(Some(last)) => after = Some(last),
            Ok(None) => more = false,
            // What was done, or may be, is told; whoever asks for the rest hears why it is not.
            Err(_) if !outcome.is_empty() => break,
            Err(refusal) => return Err(refusal),
        }
    }
    let mut answer = outcome.shown();
    if more {
        let begin = || EntityKey::Runtime(RuntimeId::from_parts(Timestamp::EPOCH, [0; 10]));
        answer.next_cursor = Some(cursor(&after.unwrap_or_else(begin)));
    } else {
        // What was done is told, whatever comes of this look.
        answer.open_tokens = open_tokens(&admin, tenant).await.ok();
    }
    Answer::ok(&answer)
}

/// Some of a tenant's runtimes.
struct Part<'a> {
    tenant: TenantId,
    after: Option<EntityKey>,
    room: usize,
    reason: &'a str,
}

/// Revokes a part of a tenant's runtimes; says where the next one begins, if there is one. No
/// idempotency key of the request goes with it: each part is a command of its own, and a runtime
/// that is revoked is passed over.
async fn revoke_part(
    admin: &Admin,
    call: &Call,
    Part {
        tenant,
        after,
        room,
        reason,
    }: Part<'_>,
    outcome: &mut Outcome,
) -> Result<Option<EntityKey>, Refusal> {
    let page = admin.backend().scan(tenant, "runtime/", after, room + 1);
    let mut page = page.await?;
    let more = page.len() > room;
    page.truncate(room);
    let last = page.last().map(|(key, _)| key.clone());
    let records: Vec<&RuntimeRecord> = page
        .iter()
        .filter_map(|(_, entity)| match &**entity {
            Entity::Runtime(record) => Some(&**record),
            _ => None,
        })
        .collect();
    let records = records.as_slice();
    let missed = judged(admin, tenant, records).await?;
    let standing: Vec<RuntimeId> = records
        .iter()
        .filter(|record| record.status != RuntimeStatus::Revoked)
        .map(|record| record.id)
        .collect();
    let mut all: Vec<_> = records
        .iter()
        .map(|record| (record.id, record.serials.clone()))
        .collect();
    if !standing.is_empty() {
        let command = Command::RevokeRuntimes {
            runtimes: standing,
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
                    for (record, missed) in records.iter().zip(missed) {
                        if record.status != RuntimeStatus::Revoked {
                            outcome.perhaps_revoked(missed);
                        }
                    }
                }
                return Err(refusal);
            }
        }
    }
    // Also those that were revoked before: whoever asks again wants to be sure.
    shut_out(admin, tenant, &all).await;
    for (record, missed) in records.iter().zip(missed) {
        if record.status == RuntimeStatus::Revoked {
            outcome.revoked_before(missed, admin.now());
        } else {
            outcome.revoked(missed);
        }
    }
    Ok(last.filter(|_| more))
}

/// Who of them is told by what is about to happen, in their order.
async fn judged(
    admin: &Admin,
    tenant: TenantId,
    records: &[&RuntimeRecord],
) -> Result<Vec<Option<Missed>>, Refusal> {
    let keys = records.iter().flat_map(|record| {
        let id = record.id;
        [EntityKey::License(id), EntityKey::Copies(id)]
    });
    let found: HashMap<_, _> = admin
        .backend()
        .entities(tenant, keys.collect())
        .await?
        .into_iter()
        .collect();
    let judge = |record: &&RuntimeRecord| {
        let live = admin.context.directory.live(tenant, record.id);
        let held = |key| found.get(&key).and_then(|found| found.as_deref());
        let held = Held {
            license: held(EntityKey::License(record.id)),
            copies: held(EntityKey::Copies(record.id)),
        };
        Missed::judge(record, &held, live, admin.now())
    };
    Ok(records.iter().map(judge).collect())
}

/// Enrolment tokens with which another runtime may come at any time.
async fn open_tokens(admin: &Admin, tenant: TenantId) -> Result<u64, Refusal> {
    let (mut open, mut after) = (0, None);
    loop {
        let page = admin.backend().scan(tenant, "token/", after, PAGE).await?;
        open += page
            .iter()
            .filter(|(_, entity)| match &**entity {
                Entity::Token(token) => is_open(token, admin.now()),
                _ => false,
            })
            .count();
        match page.last() {
            Some((last, _)) if page.len() == PAGE => after = Some(last.clone()),
            _ => return Ok(u64::try_from(open).unwrap_or(u64::MAX)),
        }
    }
}

fn is_open(token: &TokenRecord, now: Timestamp) -> bool {
    !token.revoked && token.used < token.uses && now < token.expires
}

/// Parts that begin within half of what a request has are answered within it: each is one command.
const BEGUN_WITHIN: Duration = Duration::from_secs(7);

/// A hundred commands, and a megabyte of names at most.
const RUNTIMES_AN_ANSWER_MAX: u64 = 10_000;

/// Tokens read at once.
const PAGE: usize = 500;
