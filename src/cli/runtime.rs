//! `provost runtime`.

use clap::{Args, Subcommand};
use provost_protocol::{RuntimeId, TenantId};
use reqwest::Method;

use super::{Ask, client::Client, exit::Failure, output::Output, tenant::ListArgs};
use crate::admin::{body::Reason, view::Runtime};

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
    /// Let a suspended runtime act again
    Resume(ReasonArgs),
    /// Refuse a runtime for ever, and close its connections
    Revoke(ReasonArgs),
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
            Self::Revoke(args) => change(client, output, args, "revoke").await,
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
