//! `provost audit tail`: the end of a log, and what follows.

use std::time::Duration;

use clap::Args;
use provost_protocol::TenantId;

use super::event::Event;
use crate::{
    admin::view::Page,
    cli::{client::Client, exit::Failure, output::Output},
};

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The tenant's id
    tenant: TenantId,
    /// How many events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
    /// Go on with every event that follows, until stopped
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn tail(args: &TailArgs, client: &Client, output: &Output) -> Result<(), Failure> {
    let tenant = args.tenant.to_string();
    let path = ["tenants", tenant.as_str(), "audit"];
    let mut last = 0;
    if args.lines > 0 {
        let newest: Page<Event> = client.list(&path, args.lines).await?;
        for event in newest.items.iter().rev() {
            last = event.print(output)?;
        }
    } else if args.follow {
        let newest: Page<Event> = client.list(&path, 1).await?;
        last = newest.items.first().map_or(Ok(0), Event::seq)?;
    }
    if args.follow {
        follow(client, output, &path, last).await
    } else {
        Ok(())
    }
}

/// Prints every event after `last`, until the process is stopped or the kernel goes away.
async fn follow(
    client: &Client,
    output: &Output,
    path: &[&str],
    mut last: u64,
) -> Result<(), Failure> {
    loop {
        let query = [("after", last.to_string()), ("limit", FOLLOWED.to_string())];
        let page: Page<Event> = client.get(path, &query).await?;
        for event in &page.items {
            last = event.print(output)?;
        }
        if page.items.len() < FOLLOWED {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

/// What a page of the admin API holds at most.
const FOLLOWED: usize = 100;

/// A person watches: a second is at once.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
