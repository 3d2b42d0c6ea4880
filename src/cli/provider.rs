//! `provost provider`: identity providers.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use provost_protocol::{ProviderId, TenantId, entity::ProviderKind, json::RawJson};
use reqwest::Method;

use super::{
    Ask,
    client::Client,
    exit::Failure,
    output::Output,
    tenant::ListArgs,
    value::{pair, word},
};
use crate::admin::{body::AddProvider, view::Provider};

#[derive(Debug, Subcommand)]
pub(super) enum ProviderCommand {
    /// Accept the tokens of an identity provider
    Add(AddArgs),
    /// List a tenant's identity providers
    List {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Refuse the tokens of an identity provider from now on
    Remove {
        /// The tenant's id
        tenant: TenantId,
        /// The provider's id
        provider: ProviderId,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Which kind it is
    #[arg(long, value_parser = word(ProviderKind::ALL, ProviderKind::as_str), default_value = "oidc")]
    kind: ProviderKind,
    /// The exact `iss` of its tokens
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The exact `aud` of its tokens
    #[arg(long)]
    audience: String,
    /// An algorithm accepted, by its JOSE name; may be repeated
    #[arg(long = "algorithm", value_name = "NAME", default_value = "RS256")]
    algorithms: Vec<String>,
    /// Where its keys are
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "jwks",
        conflicts_with = "jwks"
    )]
    jwks_url: Option<String>,
    /// A file with its keys: a JWKS document
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// A claim that must be there with this value; may be repeated
    #[arg(long = "require", value_name = "CLAIM=VALUE", value_parser = pair)]
    required_claims: Vec<(String, String)>,
    /// The claim that holds the roles, perhaps with dots down to it
    #[arg(long, value_name = "CLAIM")]
    roles_claim: Option<String>,
    /// Every person gets a tenant of their own
    #[arg(long)]
    individuals: bool,
}

impl Ask for ProviderCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Add(args) => {
                let path = ["tenants", &args.tenant.to_string(), "providers"];
                let body = args.into_body()?;
                let added: Provider = client.send(Method::POST, &path, &body).await?;
                output.one(&added)
            }
            Self::List { tenant, list } => {
                let path = ["tenants", &tenant.to_string(), "providers"];
                output.list(&client.list::<Provider>(&path, list.limit).await?)
            }
            Self::Remove { tenant, provider } => {
                let path = [
                    "tenants",
                    &tenant.to_string(),
                    "providers",
                    &provider.to_string(),
                ];
                let removed: Provider = client.delete(&path, &[]).await?;
                output.note("removed:");
                output.one(&removed)
            }
        }
    }
}

impl AddArgs {
    fn into_body(self) -> Result<AddProvider, Failure> {
        Ok(AddProvider {
            kind: self.kind,
            issuer: self.issuer,
            audience: self.audience,
            algorithms: self.algorithms,
            jwks_url: self.jwks_url,
            jwks: self.jwks.as_deref().map(read_jwks).transpose()?,
            required_claims: self.required_claims.into_iter().collect(),
            roles_claim: self.roles_claim,
            individuals: self.individuals,
        })
    }
}

fn read_jwks(path: &Path) -> Result<RawJson, Failure> {
    let unusable = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    RawJson::parse(text.trim()).map_err(|error| unusable(error.to_string()))
}
