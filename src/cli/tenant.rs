//! `provost tenant`.

use clap::{Args, Subcommand};
use provost_protocol::{
    RuntimeId, TenantId,
    entity::{Policies, SecurityLevel, TenantType},
};
use reqwest::Method;

use super::{Ask, client::Client, exit::Failure, output::Output, value::word};
use crate::admin::{
    body::{AttachRuntime, CreateTenant, Reason},
    view::{Attachment, Tenant},
};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    Create(CreateArgs),
    /// List tenants
    List {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a tenant
    Show {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Deny every check of a tenant until it is resumed
    Suspend(ReasonArgs),
    /// Let a suspended tenant act again
    Resume(ReasonArgs),
    /// Let a shared runtime of the tenant's operator act for the tenant
    Attach {
        /// The tenant acted for
        tenant: TenantId,
        /// The operator's shared runtime
        runtime: RuntimeId,
    },
    /// Let a shared runtime act for the tenant no more
    Detach {
        /// The tenant acted for
        tenant: TenantId,
        /// The operator's shared runtime
        runtime: RuntimeId,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// A name for people
    name: String,
    /// What it is; an individual's tenant is made when its person first logs in
    #[arg(long = "type", value_parser = word(TenantType::ALL, TenantType::as_str), default_value = "company")]
    tenant_type: TenantType,
    /// The tenant whose shared runtimes may act for this one
    #[arg(long, value_name = "TENANT")]
    operator: Option<TenantId>,
    /// Name of the IANA database in which calendar windows are counted
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How strictly it is handled
    #[arg(long, value_parser = word(SecurityLevel::ALL, SecurityLevel::as_str), default_value = "standard")]
    security_level: SecurityLevel,
    /// The only region that may serve it
    #[arg(long, value_name = "REGION")]
    data_residency: Option<String>,
}

/// How much of a list is wanted.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = at_least_one)]
    pub(super) limit: usize,
}

/// A tenant, and why something is done to it.
#[derive(Debug, Args)]
pub(super) struct ReasonArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Why; stands in the log
    #[arg(long, default_value = "")]
    reason: String,
}

impl Ask for TenantCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(args) => {
                let body = CreateTenant {
                    name: args.name,
                    tenant_type: Some(args.tenant_type),
                    policies: Some(Policies {
                        security_level: args.security_level,
                        data_residency: args.data_residency,
                    }),
                    operator: args.operator,
                    time_zone: args.time_zone,
                };
                let made: Tenant = client.send(Method::POST, &["tenants"], &body).await?;
                output.one(&made)
            }
            Self::List { list } => {
                output.list(&client.list::<Tenant>(&["tenants"], list.limit).await?)
            }
            Self::Show { tenant } => {
                let found: Tenant = client.get(&["tenants", &tenant.to_string()], &[]).await?;
                output.one(&found)
            }
            Self::Suspend(args) => change(client, output, args, "suspend").await,
            Self::Resume(args) => change(client, output, args, "resume").await,
            Self::Attach { tenant, runtime } => {
                let body = AttachRuntime {
                    runtime_id: runtime,
                };
                let path = ["tenants", &tenant.to_string(), "attachments"];
                let attached: Attachment = client.send(Method::POST, &path, &body).await?;
                output.one(&attached)
            }
            Self::Detach { tenant, runtime } => {
                let path = [
                    "tenants",
                    &tenant.to_string(),
                    "attachments",
                    &runtime.to_string(),
                ];
                let detached: Attachment = client.delete(&path, &[]).await?;
                output.note("detached:");
                output.one(&detached)
            }
        }
    }
}

async fn change(
    client: &Client,
    output: &Output,
    args: ReasonArgs,
    verb: &str,
) -> Result<(), Failure> {
    let path = ["tenants", &args.tenant.to_string(), verb];
    let body = Reason {
        reason: args.reason,
    };
    let changed: Tenant = client.send(Method::POST, &path, &body).await?;
    output.one(&changed)
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| "a number from 1 on".to_owned())
}
