//! `provost token`: enrolment tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use provost_certs::files;
use provost_protocol::{
    TenantId, TokenId,
    entity::{DeploymentMode, RuntimeType},
};
use reqwest::Method;

use super::{
    Ask,
    client::Client,
    exit::Failure,
    output::{Output, told},
    tenant::ListArgs,
    value::word,
    when::parse_span,
};
use crate::admin::{
    body::CreateToken,
    view::{Token, TokenCreated},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create an enrolment token; it is shown once
    Create(CreateArgs),
    /// List a tenant's tokens, without their secrets
    List {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Let nobody else enroll with a token; who enrolled with it stays
    Revoke {
        /// The tenant's id
        tenant: TenantId,
        /// The token's id
        token: TokenId,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Which type of runtime may use it
    #[arg(long = "type", value_parser = word(RuntimeType::ALL, RuntimeType::as_str))]
    runtime_type: RuntimeType,
    /// How that runtime is deployed
    #[arg(long = "mode", value_parser = word(DeploymentMode::ALL, DeploymentMode::as_str))]
    deployment_mode: DeploymentMode,
    /// How many runtimes may enroll with it
    #[arg(long, value_name = "N")]
    uses: Option<u32>,
    /// How long it may be used, as in 24h
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    ttl: Option<u64>,
    /// Write it to a file that only its owner may read, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Ask for TokenCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(client, output, args).await,
            Self::List { tenant, list } => {
                let path = ["tenants", &tenant.to_string(), "tokens"];
                output.list(&client.list::<Token>(&path, list.limit).await?)
            }
            Self::Revoke { tenant, token } => {
                let path = ["tenants", &tenant.to_string(), "tokens", &token.to_string()];
                let revoked: Token = client.delete(&path, &[]).await?;
                output.one(&revoked)
            }
        }
    }
}

/// Prints the token alone, so that it can go into a pipe; what is said about it goes beside.
async fn create(client: &Client, output: &Output, args: CreateArgs) -> Result<(), Failure> {
    let body = CreateToken {
        runtime_type: args.runtime_type,
        deployment_mode: args.deployment_mode,
        uses: args.uses,
        ttl_ms: args.ttl,
    };
    let path = ["tenants", &args.tenant.to_string(), "tokens"];
    // Its place first: a token that can be written nowhere would be one that nobody has read.
    if let Some(file) = &args.out {
        files::create_private(file, b"").map_err(|error| Failure::Usage(told(&error)))?;
    }
    let made: Result<TokenCreated, _> = client.send(Method::POST, &path, &body).await;
    if let (Err(_), Some(file)) = (&made, &args.out) {
        // Nothing is lost with it, and the next attempt finds the name free.
        let _ = std::fs::remove_file(file);
    }
    let made = made?;
    if let Some(file) = args.out {
        let text = format!("{}\n", made.token);
        files::write_private(&file, text.as_bytes()).map_err(|error| {
            let _ = std::fs::remove_file(&file);
            let (id, error) = (made.record.token_id, told(&error));
            let lost = format!("{error}; token {id} is written nowhere: revoke it");
            Failure::failed("writing the token", lost)
        })?;
        return output.one(&made.record);
    }
    if output.is_json() {
        return output.json(&made);
    }
    output.line(&made.token)?;
    let (id, uses) = (made.record.token_id, made.record.uses);
    output.note(&format!(
        "token {id}, for {uses} enrolment(s); it is not shown again"
    ));
    Ok(())
}
