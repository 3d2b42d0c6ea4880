//! `provost grant`: entitlements.

use clap::{Args, Subcommand};
use provost_protocol::{
    RuntimeId, TenantId, Timestamp,
    entity::{Feature, Mode, TimeWindow},
};
use reqwest::Method;

use super::{
    Ask,
    client::Client,
    exit::Failure,
    output::Output,
    tenant::ListArgs,
    value::{limit, word},
};
use crate::admin::{
    body::{LimitValue, SetEntitlement},
    view::Entitlement,
};

#[derive(Debug, Subcommand)]
pub(super) enum GrantCommand {
    /// Allow a tenant something, within limits; setting again replaces
    Set(SetArgs),
    /// List what a tenant may do, and what it used
    List {
        /// The tenant's id
        tenant: TenantId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Take an entitlement away, named exactly as it was set
    Remove {
        /// The tenant's id
        tenant: TenantId,
        /// What: a dotted key, perhaps with `:resource`
        feature: Feature,
        /// The one that was for this runtime only
        #[arg(long, value_name = "RUNTIME")]
        runtime: Option<RuntimeId>,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The tenant's id
    tenant: TenantId,
    /// What: a dotted key, perhaps with `:resource`
    feature: Feature,
    /// How much: a whole number, true, false or unlimited
    #[arg(long, default_value = "true", value_parser = limit)]
    limit: LimitValue,
    /// Over which time a number is counted: hour, day, week, month, year, or PnD, PnW, PTnH, PTnM
    #[arg(long, value_name = "WINDOW")]
    window: Option<TimeWindow>,
    /// What happens where it says no
    #[arg(long, value_parser = word(Mode::ALL, Mode::as_str), default_value = "enforce")]
    mode: Mode,
    /// Until when, as in 2027-01-01T00:00:00Z; without it, without end
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// For this runtime only
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<RuntimeId>,
}

impl Ask for GrantCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Set(args) => {
                let body = SetEntitlement {
                    feature: args.feature,
                    runtime_id: args.runtime,
                    limit: args.limit,
                    time_window: args.window,
                    mode: Some(args.mode),
                    valid_until: args.until,
                };
                let path = ["tenants", &args.tenant.to_string(), "entitlements"];
                let set: Entitlement = client.send(Method::PUT, &path, &body).await?;
                output.one(&set)
            }
            Self::List { tenant, list } => {
                let path = ["tenants", &tenant.to_string(), "entitlements"];
                output.list(&client.list::<Entitlement>(&path, list.limit).await?)
            }
            Self::Remove {
                tenant,
                feature,
                runtime,
            } => {
                let mut query = vec![("feature", feature.to_string())];
                query.extend(runtime.map(|runtime| ("runtime_id", runtime.to_string())));
                let path = ["tenants", &tenant.to_string(), "entitlements"];
                let removed: Entitlement = client.delete(&path, &query).await?;
                output.note("removed:");
                output.one(&removed)
            }
        }
    }
}
