//! `/v1/tenants/{tenant_id}/audit`: a tenant's log, each event as its exact stored bytes.

use std::sync::Arc;

use provost_protocol::Code;
use provost_store::{Range, StoredEvent};
use serde::Deserialize;

use super::{
    Admin,
    answer::Answer,
    auth::Needs,
    call::Call,
    page::{cursor, limit_of, read_cursor},
    reach::Act,
    routes::{Method, Route},
};
use crate::problem::Refusal;

pub(super) const ROUTES: &[Route] = &[Route {
    method: Method::Get,
    path: "/v1/tenants/{tenant_id}/audit",
    id: "read_audit",
    about: "Reads a tenant's log: newest first, or with `after` in order from a sequence on.",
    needs: Needs::Read,
    body: None,
    answer: (200, "EventPage"),
    query: &["limit", "page[cursor]", "after"],
    handler: |admin, call| Box::pin(read(admin, call)),
}];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    limit: Option<usize>,
    /// In order, events after this sequence.
    after: Option<u64>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Newest first, before this sequence.
    Before(u64),
    /// In order, after this sequence.
    After(u64),
}

async fn read(admin: Arc<Admin>, call: Call) -> Result<Answer, Refusal> {
    let tenant = admin
        .reach(&call.caller, call.id("tenant_id")?, Act::Within)
        .await?;
    let wanted: Wanted = call.query()?;
    let limit = limit_of(wanted.limit)?;
    let place = match (wanted.after, wanted.cursor) {
        (None, None) => Place::Before(u64::MAX),
        (Some(seq), None) => Place::After(seq),
        (None, Some(cursor)) => read_cursor(&cursor)?,
        (Some(_), Some(_)) => {
            let text = "after: a cursor says already where to begin";
            return Err(Refusal::new(Code::Invalid, text));
        }
    };
    let range = match place {
        Place::Before(seq) => Range {
            newest_before: Some(seq),
            limit,
            ..Range::default()
        },
        Place::After(seq) => Range {
            after: seq,
            limit,
            newest_before: None,
        },
    };
    let events = admin.backend().read(tenant.id, range).await?;
    let next = events
        .last()
        .filter(|_| events.len() == limit)
        .and_then(|last| {
            let seq = last.envelope.seq;
            match place {
                // Sequence 1 is the first: before it stands nothing.
                Place::Before(_) => (seq > 1).then_some(Place::Before(seq)),
                Place::After(_) => (seq < tenant.seq).then_some(Place::After(seq)),
            }
        });
    Ok(Answer::written(page_of(&events, next)))
}

/// A page written around the events' own bytes: what is hashed and proved is what is shown.
fn page_of(events: &[StoredEvent], next: Option<Place>) -> Vec<u8> {
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
        Some(place) => page.extend_from_slice(format!("\"{}\"}}", cursor(&place)).as_bytes()),
        None => page.extend_from_slice(b"null}"),
    }
    page
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before(seq) => write!(f, "before:{seq}"),
            Self::After(seq) => write!(f, "after:{seq}"),
        }
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (side, seq) = text.split_once(':').ok_or(())?;
        let seq = seq.parse().map_err(|_| ())?;
        match side {
            "before" => Ok(Self::Before(seq)),
            "after" => Ok(Self::After(seq)),
            _ => Err(()),
        }
    }
}
