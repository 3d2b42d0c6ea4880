//! `provost license`: what the kernel issued, and what a file is worth.

mod file;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use provost_protocol::{RuntimeId, TenantId};

use self::verify::VerifyArgs;
use super::{
    block_on,
    client::{AdminArgs, Client},
    exit::Failure,
    output::Output,
    tenant::ListArgs,
};
use crate::admin::view::License;

#[derive(Debug, Args)]
pub(super) struct LicenseGroup {
    #[command(subcommand)]
    command: LicenseCommand,
}

#[derive(Debug, Subcommand)]
enum LicenseCommand {
    /// Show what the kernel last issued for a tenant, or what a file says, unverified
    Show(ShowArgs),
    /// Say what a license file is worth, with nothing but a public key; asks no kernel
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The tenant's id
    #[arg(required_unless_present = "file")]
    tenant: Option<TenantId>,
    /// The runtime's id; without it, every runtime's
    #[arg(requires = "tenant")]
    runtime: Option<RuntimeId>,
    /// Decode this file instead and verify nothing; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "tenant")]
    file: Option<PathBuf>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Shows or verifies.
pub(super) fn run(group: LicenseGroup, output: &Output) -> Result<(), Failure> {
    match group.command {
        LicenseCommand::Verify(args) => verify::verify(&args, output),
        LicenseCommand::Show(ShowArgs {
            file: Some(path), ..
        }) => {
            let decoded = file::decode(&file::read(&path)?)?;
            output.note("NOT VERIFIED: anybody could have written this");
            output.json(&decoded)
        }
        LicenseCommand::Show(args) => {
            let client = Client::new(args.admin)?;
            block_on(show(
                &client,
                output,
                (args.tenant, args.runtime),
                args.list.limit,
            ))
        }
    }
}

async fn show(
    client: &Client,
    output: &Output,
    whose: (Option<TenantId>, Option<RuntimeId>),
    limit: usize,
) -> Result<(), Failure> {
    let (Some(tenant), runtime) = whose else {
        // clap asks for a tenant or a file.
        return Err(Failure::Usage(
            "name a tenant, or a file with --file".to_owned(),
        ));
    };
    let tenant = tenant.to_string();
    match runtime {
        None => {
            let path = ["tenants", tenant.as_str(), "licenses"];
            output.list(&client.list::<License>(&path, limit).await?)
        }
        Some(runtime) => {
            let path = ["tenants", tenant.as_str(), "licenses", &runtime.to_string()];
            output.one(&client.get::<License>(&path, &[]).await?)
        }
    }
}
