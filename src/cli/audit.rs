//! `provost audit`: a tenant's log, and the evidence that it is what it was.

mod event;
mod export;
mod folder;
mod history;
mod prove;
mod query;
mod tail;
mod tiles;
mod verify;

use clap::{Args, Subcommand};

use self::{
    export::ExportArgs, prove::ProveArgs, query::QueryArgs, tail::TailArgs, verify::VerifyArgs,
};
use super::{
    block_on,
    client::{AdminArgs, Client},
    exit::Failure,
    output::Output,
};

/// Commands about logs. `verify` asks no kernel, so each of the others says which one it asks.
#[derive(Debug, Args)]
pub(super) struct AuditGroup {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Show the newest events of a tenant's log
    Tail(Asked<TailArgs>),
    /// Find events by type, actor, runtime, correlation id and time, newest first
    Query(Asked<QueryArgs>),
    /// Write the proof that an event stands in the log, for whoever verifies it offline
    Prove(Asked<ProveArgs>),
    /// Say whether a proof, an exported history or a data folder holds; asks no kernel
    Verify(Box<VerifyArgs>),
    /// Write a tenant's whole log into a folder, as C2SP tiles that anyone can verify
    Export(Asked<ExportArgs>),
}

/// A command that asks a running kernel.
#[derive(Debug, Args)]
struct Asked<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Asks a kernel, or verifies what is here.
pub(super) fn run(group: AuditGroup, output: &Output) -> Result<(), Failure> {
    match group.command {
        AuditCommand::Tail(asked) => {
            let client = Client::new(asked.admin)?;
            block_on(tail::tail(&asked.args, &client, output))
        }
        AuditCommand::Query(asked) => {
            let client = Client::new(asked.admin)?;
            block_on(query::query(&asked.args, &client, output))
        }
        AuditCommand::Prove(asked) => {
            let client = Client::new(asked.admin)?;
            block_on(prove::prove(&asked.args, &client, output))
        }
        AuditCommand::Verify(args) => verify::verify(&args, output),
        AuditCommand::Export(asked) => {
            let client = Client::new(asked.admin)?;
            block_on(export::export(&asked.args, &client, output))
        }
    }
}
