//! `provost audit query`: finding events, newest first.

use clap::Args;
use provost_protocol::{CorrelationId, RuntimeId, TenantId};

use super::event::Event;
use crate::{
    admin::view::Page,
    cli::{
        client::{Client, PAGE_MAX},
        exit::Failure,
        output::Output,
        tenant::at_least_one,
        when::{Moment, moment},
    },
};

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Events of this kind, or audit events of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Events that this actor caused, as it stands in the log
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Events that have to do with this runtime
    #[arg(long, value_name = "ID")]
    runtime: Option<RuntimeId>,
    /// Everything that followed from one request
    #[arg(long, value_name = "ID")]
    correlation: Option<CorrelationId>,
    /// Not before this time, or not longer ago: 2026-11-22T08:00:00Z, 90m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Before this time, or longer ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    limit: usize,
    /// As many as there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Prints what matches as it comes, page after page: a long answer is never held as a whole.
pub(super) async fn query(
    args: &QueryArgs,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    let tenant = args.tenant.to_string();
    let path = ["tenants", tenant.as_str(), "audit"];
    let filters = args.filters(output);
    let mut left = if args.all { usize::MAX } else { args.limit };
    let mut cursor: Option<String> = None;
    loop {
        let mut query = filters.clone();
        query.push(("limit", left.min(PAGE_MAX).to_string()));
        query.extend(cursor.take().map(|cursor| ("page[cursor]", cursor)));
        let page: Page<Event> = client.get_patiently(&path, &query).await?;
        for event in &page.items {
            event.print(output)?;
        }
        left = left.saturating_sub(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
        if left == 0 {
            output.note("there are more; --limit N or --all shows them");
            return Ok(());
        }
    }
}

impl QueryArgs {
    fn filters(&self, output: &Output) -> Vec<(&'static str, String)> {
        let text = |one: &Option<String>| one.clone();
        let time = |one: Option<Moment>| one.map(|one| one.before(output.now()).to_string());
        [
            ("type", text(&self.kind)),
            ("actor", text(&self.actor)),
            ("runtime_id", self.runtime.map(|id| id.to_string())),
            ("correlation_id", self.correlation.map(|id| id.to_string())),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}
