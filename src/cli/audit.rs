//! `provost audit`: reading a tenant's log.

use std::time::Duration;

use clap::{Args, Subcommand};
use provost_protocol::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Ask,
    client::Client,
    exit::Failure,
    output::{Output, clean},
};
use crate::admin::view::Page;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show the newest events of a tenant's log
    Tail(TailArgs),
}

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

/// One event: its exact stored bytes, which are also what a program is given.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
struct Event(Box<RawValue>);

/// What people see of an event. A kind of a later kernel is shown like any other.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    seq: u64,
    time: Timestamp,
    kind: String,
    actor: Actor,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct Actor {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl Ask for AuditCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Self::Tail(args) = self;
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

impl Event {
    fn seq(&self) -> Result<u64, Failure> {
        Ok(self.line()?.seq)
    }

    fn line(&self) -> Result<Line<'_>, Failure> {
        serde_json::from_str(self.0.get())
            .map_err(|error| Failure::failed("reading an event", error))
    }

    /// Prints the event on one line; answers its sequence.
    fn print(&self, output: &Output) -> Result<u64, Failure> {
        let line = self.line()?;
        if output.is_json() {
            output.line(self.0.get())?;
        } else {
            output.line(&clean(&format!(
                "{} {:>6} {} {}/{} {}",
                line.time,
                line.seq,
                line.kind,
                line.actor.kind,
                line.actor.id,
                line.data.get(),
            )))?;
        }
        Ok(line.seq)
    }
}

/// What a page of the admin API holds at most.
const FOLLOWED: usize = 100;

/// A person watches: a second is at once.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
