//! `/v1/tenants/{tenant_id}/audit`: a tenant's log, each event as its exact stored bytes, and the
//! evidence that it is what it was.

mod evidence;
mod wanted;

use std::sync::Arc;

use provost_store::{Query, Range, StoredEvent};

use self::wanted::{Cursor, Filters, Place, Wanted};
use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    call::Call,
    page::{cursor, limit_of},
    reach::Act,
    routes::{Method, Route},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/audit",
        id: "read_audit",
        about: "Reads a tenant's log: newest first, filtered or not, or with `after` in order from a \
                sequence on.",
        needs: Needs::Read,
        body: None,
        answer: (200, "EventPage"),
        query: &[
            "limit",
            "page[cursor]",
            "after",
            "type",
            "actor",
            "runtime_id",
            "correlation_id",
            "since",
            "until",
        ],
        handler: |admin, call| Box::pin(read(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/audit/checkpoint",
        id: "show_checkpoint",
        about: "Signs where a tenant's log ends, and proves that it only grew since an earlier size.",
        needs: Needs::Read,
        body: None,
        answer: (200, "Checkpoint"),
        query: &["from_size"],
        handler: |admin, call| Box::pin(evidence::checkpoint(admin, call)),
    },
    Route {
        method: Method::Get,
        path: "/v1/tenants/{tenant_id}/audit/{seq}/proof",
        id: "prove_event",
        about: "Proves that an event stands in a tenant's log: its bytes, and a C2SP tlog-proof.",
        needs: Needs::Read,
        body: None,
        answer: (200, "InclusionProof"),
        query: &[],
        handler: |admin, call| Box::pin(evidence::proof(admin, call)),
    },
];

async fn read(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let wanted: Wanted = call.query()?;
    let limit = limit_of(wanted.limit())?;
    let filters = wanted.filters()?;
    let (events, next) = match wanted.place(&filters)? {
        Place::Before(seq) => {
            let page = admin
                .backend()
                .query(tenant.id, filters.query(seq, limit))
                .await?;
            (page.events, page.next.map(|seq| Place::Before(Some(seq))))
        }
        Place::After(seq) => {
            let range = Range {
                after: seq,
                limit,
                newest_before: None,
            };
            let events = admin.backend().read(tenant.id, range).await?;
            let last = events.last().filter(|_| events.len() == limit);
            let next = last
                .map(|last| last.envelope.seq)
                .filter(|seq| *seq < tenant.seq)
                .map(Place::After);
            (events, next)
        }
    };
    let next = next.map(|place| cursor(&Cursor::new(place, &filters)));
    Ok(Answer::written(page_of(&events, next.as_deref())))
}

impl Filters {
    fn query(&self, before: Option<u64>, limit: usize) -> Query {
        Query {
            since: self.since,
            until: self.until,
            kind: self.kind.clone(),
            actor: self.actor.clone(),
            runtime: self.runtime,
            correlation: self.correlation,
            before,
            limit,
        }
    }
}

/// A page written around the events' own bytes: what is hashed and proved is what is shown.
fn page_of(events: &[StoredEvent], next: Option<&str>) -> Vec<u8> {
    let mut page = b"{\"items\":[".to_vec();
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            page.push(b',');
        }
        page.extend_from_slice(&event.bytes);
    }
    page.extend_from_slice(b"],\"next_cursor\":");
    match next {
        // Base64url needs no escaping.
        Some(cursor) => page.extend_from_slice(format!("\"{cursor}\"}}").as_bytes()),
        None => page.extend_from_slice(b"null}"),
    }
    page
}
