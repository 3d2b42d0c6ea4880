//! Lists, a page at a time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use provost_kernel::state::{Entity, EntityKey};
use provost_protocol::{Code, TenantId};
use serde::Deserialize;

use super::{Admin, view::Page};
use crate::problem::Refusal;

/// Which page is wanted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    limit: Option<usize>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
}

impl Paging {
    pub(super) const fn new(limit: usize, cursor: Option<String>) -> Self {
        Self {
            limit: Some(limit),
            cursor,
        }
    }

    /// How many items at most.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        limit_of(self.limit)
    }

    /// Where the page begins, if it is not the first.
    pub(super) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Refusal> {
        self.cursor.as_deref().map(read_cursor).transpose()
    }
}

/// A limit that was asked for, or the default.
pub(super) fn limit_of(asked: Option<usize>) -> Result<usize, Refusal> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Refusal::new(
            Code::Invalid,
            format!("limit: 1 to {LIMIT_MAX}"),
        )),
    }
}

/// Writes a cursor: opaque, so that nobody builds on what is in it.
pub(super) fn cursor(place: &impl ToString) -> String {
    URL_SAFE_NO_PAD.encode(place.to_string())
}

/// Reads a cursor back.
pub(super) fn read_cursor<T: std::str::FromStr>(text: &str) -> Result<T, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::new(Code::Malformed, "page[cursor] is not one of ours"))
}

impl Admin {
    /// A page of one kind of a tenant's entities, read without waking it.
    pub(super) async fn page<T>(
        &self,
        tenant: TenantId,
        kind: &'static str,
        paging: &Paging,
        show: impl Fn(&EntityKey, &Entity) -> Option<T>,
    ) -> Result<Page<T>, Refusal> {
        let limit = paging.limit()?;
        let after: Option<EntityKey> = paging.after()?;
        if after
            .as_ref()
            .is_some_and(|key| !kind.starts_with(key.kind()))
        {
            return Err(Refusal::new(
                Code::Malformed,
                "page[cursor] is of another list",
            ));
        }
        let found = self.backend().scan(tenant, kind, after, limit + 1).await?;
        let more = found.len() > limit;
        let shown = &found[..found.len().min(limit)];
        let next_cursor = shown.last().filter(|_| more).map(|(key, _)| cursor(key));
        let items = shown
            .iter()
            .filter_map(|(key, entity)| show(key, entity))
            .collect();
        Ok(Page { items, next_cursor })
    }
}

/// Contract.md, section 6.
pub(super) const LIMIT_MAX: usize = 100;

/// A screenful or two.
const LIMIT_DEFAULT: usize = 50;
