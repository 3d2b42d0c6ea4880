//! `provost runtime`.

use clap::{Args, Subcommand};
use provost_protocol::{RuntimeId, TenantId, Timestamp, entity::Feature};
use reqwest::Method;

use super::{
    Ask, client::Client, exit::Failure, output::Output, revoke, tenant::ListArgs, value::limit,
};
use crate::admin::{
    body::{LimitValue, Reason, SetLimit},
    view::{Directives, Runtime},
};

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// List a tenant's runtimes
    List {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a runtime, with its last heartbeat
    Show(RuntimeArgs),
    /// Deny every check of a runtime until it is resumed
    Suspend(ReasonArgs),
    /// Let a suspended or killed runtime act again
    Resume(ReasonArgs),
    /// Deny every check of a runtime until it is resumed, also by its own connector
    Kill(ReasonArgs),
    /// Narrow what a runtime may do for a while; again replaces
    Limit(LimitArgs),
    /// Take a limit away, named exactly as it was set
    Unlimit {
        #[command(flatten)]
        runtime: RuntimeArgs,
        /// What: as it was limited
        feature: Feature,
    },
    /// Say that there is one copy of a runtime again
    ResolveClone(ReasonArgs),
    /// Let a runtime whose certificate has ended recover once, within 24 hours
    AllowRecovery(ReasonArgs),
    /// Refuse a runtime or one of its certificates for ever, and close its connections
    Revoke(revoke::RevokeArgs),
    /// Refuse every runtime of a tenant for ever, and close their connections
    RevokeAll(revoke::RevokeAllArgs),
}

#[derive(Debug, Args)]
pub(super) struct RuntimeArgs {
    /// The tenant's id
    tenant: TenantId,
    /// The runtime's id
    runtime: RuntimeId,
}

#[derive(Debug, Args)]
pub(super) struct ReasonArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Why; stands in the log
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// What: a dotted key, with `:resource` for that one only
    feature: Feature,
    /// To how much at most: a whole number, or false
    #[arg(long, value_parser = limit)]
    limit: LimitValue,
    /// Until when, as in 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
    /// Why; stands in the log
    #[arg(long, default_value = "")]
    reason: String,
}

impl Ask for RuntimeCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List { tenant, list } => {
                let path = ["tenants", &tenant.to_string(), "runtimes"];
                output.list(&client.list::<Runtime>(&path, list.limit).await?)
            }
            Self::Show(RuntimeArgs { tenant, runtime }) => {
                let path = [
                    "tenants",
                    &tenant.to_string(),
                    "runtimes",
                    &runtime.to_string(),
                ];
                output.one(&client.get::<Runtime>(&path, &[]).await?)
            }
            Self::Suspend(args) => change(client, output, args, "suspend").await,
            Self::Resume(args) => change(client, output, args, "resume").await,
            Self::Kill(args) => change(client, output, args, "kill").await,
            Self::Limit(args) => {
                let RuntimeArgs { tenant, runtime } = args.runtime;
                let path = [
                    "tenants",
                    &tenant.to_string(),
                    "runtimes",
                    &runtime.to_string(),
                    "limits",
                ];
                let body = SetLimit {
                    feature: args.feature,
                    limit: args.limit,
                    until: args.until,
                    reason: args.reason,
                };
                let set: Directives = client.send(Method::PUT, &path, &body).await?;
                output.one(&set)
            }
            Self::Unlimit {
                runtime: RuntimeArgs { tenant, runtime },
                feature,
            } => {
                let path = [
                    "tenants",
                    &tenant.to_string(),
                    "runtimes",
                    &runtime.to_string(),
                    "limits",
                ];
                let query = [("feature", feature.to_string())];
                output.one(&client.delete::<Directives>(&path, &query).await?)
            }
            Self::ResolveClone(args) => change(client, output, args, "resolve-clone").await,
            Self::AllowRecovery(args) => change(client, output, args, "recovery").await,
            Self::Revoke(args) => revoke::one(client, output, args).await,
            Self::RevokeAll(args) => revoke::all(client, output, args).await,
        }
    }
}

async fn change(
    client: &Client,
    output: &Output,
    args: ReasonArgs,
    verb: &str,
) -> Result<(), Failure> {
    let RuntimeArgs { tenant, runtime } = args.runtime;
    let path = [
        "tenants",
        &tenant.to_string(),
        "runtimes",
        &runtime.to_string(),
        verb,
    ];
    let body = Reason {
        reason: args.reason,
    };
    let changed: Runtime = client.send(Method::POST, &path, &body).await?;
    output.one(&changed)
}
