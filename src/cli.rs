//! The command line (contract.md, section 5): one executable for operator, kernel and runtime.
//!
//! Every command is a thin caller: of the admin API, of [`init`](crate::init), of the daemon, of
//! the connector, or of the license verifier. It decides nothing, keeps nothing, and takes no
//! secret as an argument: arguments are seen by everybody on the machine. Answers go to standard
//! output, everything said about them to standard error. `docs/cli.md` shows each command.

mod audit;
mod backup;
mod client;
mod exit;
mod grant;
mod key;
mod license;
mod local;
mod meter;
mod output;
mod provider;
mod revoke;
mod runtime;
mod store;
mod table;
mod tenant;
#[cfg(test)]
mod tests;
mod token;
mod value;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use provost_connector::cli::ConnectorCommand;

pub use self::exit::Exit;
use self::{
    client::{AdminArgs, Client},
    exit::Failure,
    output::{Format, Output},
};

/// Governs every copy of a vendor's product, wherever it runs
#[derive(Debug, Parser)]
#[command(
    name = "provost",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Ends with this process: for the children of `provost dev`
    #[cfg(feature = "dev")]
    #[arg(long, global = true, hide = true)]
    parent: Option<i32>,
}

/// Everything that can be asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make an installation in an empty folder: keys, internal tenant, first admin key
    Init(Printing<local::InitArgs>),
    /// Run the kernel until it is told to stop
    Serve(local::ConfigArgs),
    /// Look at configuration files
    Config(Printing<local::ConfigGroup>),
    /// Show how a running kernel does
    Status(Printing<AdminArgs>),
    /// Tenants: who is governed
    Tenant(Printing<Asking<tenant::TenantCommand>>),
    /// Enrolment tokens: what lets a runtime in
    Token(Printing<Asking<token::TokenCommand>>),
    /// Runtimes: what is governed
    Runtime(Printing<Asking<runtime::RuntimeCommand>>),
    /// Entitlements: what a tenant may do, and how much of it
    Grant(Printing<Asking<grant::GrantCommand>>),
    /// Identity providers: who vouches for a tenant's people
    Provider(Printing<Asking<provider::ProviderCommand>>),
    /// Keys: the certificate authority and its rotation
    Key(Printing<Asking<key::KeyCommand>>),
    /// Licenses: what a runtime goes on with when the kernel is away
    License(Printing<license::LicenseGroup>),
    /// A tenant's log, and the evidence that it is what it was
    Audit(Printing<audit::AuditGroup>),
    /// Backups: the whole installation in one file, and the way back
    Backup(Printing<backup::BackupGroup>),
    /// The store of a kernel that is stopped
    Store(Printing<store::StoreGroup>),
    /// The runtime's side: enroll, run, ask
    Connector(ConnectorCommand),
    /// Everything on this machine, for a developer: real mutual TLS, real processes
    #[cfg(feature = "dev")]
    Dev(crate::dev::DevArgs),
    #[cfg(feature = "dev")]
    #[command(flatten)]
    DevChild(crate::dev::DevChild),
}

/// A command that prints an answer. The connector's commands are not among them: they have an
/// `--output` of their own.
#[derive(Debug, clap::Args)]
struct Printing<A: clap::Args> {
    #[command(flatten)]
    args: A,
    /// Print answers for people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Ends with this process: for the children of `provost dev`
    #[cfg(feature = "dev")]
    #[arg(long, global = true, hide = true)]
    parent: Option<i32>,
}

/// A group of commands that ask a running kernel.
#[derive(Debug, clap::Args)]
struct Asking<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A command that asks a running kernel.
trait Ask {
    /// Asks and prints.
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure>;
}

/// Carries out a command line; the exit code says how it went.
///
/// Blocks for as long as the command runs. To be called outside any async runtime.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    #[cfg(feature = "dev")]
    if let Some(parent) = cli.parent
        && crate::dev::die_with_parent(parent).is_err()
    {
        return Exit::Internal.into();
    }
    let done = match cli.command {
        Command::Init(asked) => asked.run(local::init),
        Command::Serve(args) => local::serve(&args),
        Command::Config(asked) => asked.run(local::config),
        Command::Status(asked) => asked.run(|admin, output| block_on(local::status(admin, output))),
        Command::Tenant(asked) => asked.run(Asking::run),
        Command::Token(asked) => asked.run(Asking::run),
        Command::Runtime(asked) => asked.run(Asking::run),
        Command::Grant(asked) => asked.run(Asking::run),
        Command::Provider(asked) => asked.run(Asking::run),
        Command::Key(asked) => asked.run(Asking::run),
        Command::License(asked) => asked.run(license::run),
        Command::Audit(asked) => asked.run(audit::run),
        Command::Backup(asked) => asked.run(backup::run),
        Command::Store(asked) => asked.run(store::run),
        Command::Connector(command) => return connector(command),
        #[cfg(feature = "dev")]
        Command::Dev(args) => return crate::dev::run(args),
        #[cfg(feature = "dev")]
        Command::DevChild(child) => return crate::dev::run_child(child),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output::complain(&failure);
            failure.exit().into()
        }
    }
}

impl<A: clap::Args> Printing<A> {
    fn run(self, work: impl FnOnce(A, &Output) -> Result<(), Failure>) -> Result<(), Failure> {
        work(self.args, &Output::new(self.output))
    }
}

impl<C: Subcommand + Ask> Asking<C> {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let client = Client::new(self.admin)?;
        block_on(self.command.ask(&client, output))
    }
}

/// Runs one conversation with a kernel on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("starting", error))?;
    runtime.block_on(work)
}

/// The connector has a command line of its own, with its own exit codes.
fn connector(command: ConnectorCommand) -> ExitCode {
    local::log_for_connector();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(provost_connector::cli::execute(command)),
        Err(_) => Exit::Internal.into(),
    }
}
