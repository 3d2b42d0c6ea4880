//! `provost runtime revoke` and `revoke-all`.

use std::collections::HashSet;

use clap::Args;
use provost_protocol::{RuntimeId, TenantId};
use reqwest::Method;

use super::{client::Client, exit::Failure, output::Output};
use crate::admin::{
    body::{Reason, RevokeAll, RevokeCertificate},
    view::{NotReached, Page, Revocation, RuntimeRevoked},
};

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The tenant's id
    tenant: TenantId,
    /// The runtime's id
    runtime: RuntimeId,
    /// Only the certificate with this serial number; the runtime's others stay good
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Why; stands in the log
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct RevokeAllArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why; stands in the log
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn one(client: &Client, output: &Output, args: RevokeArgs) -> Result<(), Failure> {
    let (tenant, runtime) = (args.tenant.to_string(), args.runtime.to_string());
    let runtime = ["tenants", &tenant, "runtimes", &runtime];
    let reason = args.reason;
    let revoked: RuntimeRevoked = match args.serial {
        None => {
            let path = [&runtime[..], &["revoke"]].concat();
            client.send(Method::POST, &path, &Reason { reason }).await?
        }
        Some(serial) => {
            let path = [&runtime[..], &["certificates", "revoke"]].concat();
            let body = RevokeCertificate { serial, reason };
            client.send(Method::POST, &path, &body).await?
        }
    };
    output.one(&revoked)
}

pub(super) async fn all(
    client: &Client,
    output: &Output,
    args: RevokeAllArgs,
) -> Result<(), Failure> {
    let tenant = args.tenant.to_string();
    let path = ["tenants", &tenant, "runtimes", "revoke"];
    let mut body = RevokeAll {
        reason: args.reason,
        ..RevokeAll::default()
    };
    let mut revoked: Revocation = client.send(Method::POST, &path, &body).await?;
    while let Some(cursor) = revoked.next_cursor.take() {
        body.cursor = Some(cursor);
        let more: Result<Revocation, _> = client.send(Method::POST, &path, &body).await;
        // What was done is done, and nobody can ask for it again.
        revoked = match more {
            // Nothing came of it that anybody knows of, and the next would begin where this one did.
            Ok(more) if more.next_cursor.is_some() && more.next_cursor == body.cursor => {
                show(output, joined(revoked, more))?;
                return Err(Failure::failed(
                    "revoking",
                    "the outcome is unknown: ask again",
                ));
            }
            Ok(more) => joined(revoked, more),
            Err(failure) => {
                show(output, revoked)?;
                return Err(failure);
            }
        };
    }
    show(output, revoked)
}

/// What two parts of a revocation come to.
fn joined(first: Revocation, second: Revocation) -> Revocation {
    let mut not_reached = first.not_reached;
    // Behind an unknown outcome one may be named twice.
    let named: HashSet<_> = not_reached.iter().map(|one| one.runtime_id).collect();
    let is_news = |one: &NotReached| !named.contains(&one.runtime_id);
    not_reached.extend(second.not_reached.into_iter().filter(is_news));
    Revocation {
        runtimes: first.runtimes + second.runtimes,
        already_revoked: first.already_revoked + second.already_revoked,
        not_reached_count: u64::try_from(not_reached.len()).unwrap_or(u64::MAX),
        not_reached,
        certain_by: first.certain_by.max(second.certain_by),
        open_tokens: second.open_tokens,
        next_cursor: second.next_cursor,
    }
}

fn show(output: &Output, revoked: Revocation) -> Result<(), Failure> {
    output.one(&revoked)?;
    if let Some(open) = revoked.open_tokens.filter(|open| *open > 0) {
        output.note(&format!(
            "{open} enrolment tokens are still of use; provost token revoke ends them"
        ));
    }
    if output.is_json() || revoked.not_reached.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.list(&Page {
        items: revoked.not_reached,
        next_cursor: None,
    })
}
