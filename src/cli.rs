//! The command line (contract.md, section 5): one executable for operator, kernel and runtime.
//!
//! Every command is a thin caller: of the admin API, of [`init`](crate::init), of the daemon, of
//! the connector, or of the license verifier. It decides nothing, keeps nothing, and takes no
//! secret as an argument: arguments are seen by everybody on the machine. Answers go to standard
//! output, everything said about them to standard error. `docs/cli.md` shows each command.

mod audit;
mod client;
mod exit;
mod grant;
mod license;
mod local;
mod output;
mod provider;
mod runtime;
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
    /// Print answers for people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Everything that can be asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make an installation in an empty folder: keys, internal tenant, first admin key
    Init(local::InitArgs),
    /// Run the kernel until it is told to stop
    Serve(local::ConfigArgs),
    /// Look at configuration files
    #[command(subcommand)]
    Config(local::ConfigCommand),
    /// Show how a running kernel does
    Status(AdminArgs),
    /// Tenants: who is governed
    Tenant(Asking<tenant::TenantCommand>),
    /// Enrolment tokens: what lets a runtime in
    Token(Asking<token::TokenCommand>),
    /// Runtimes: what is governed
    Runtime(Asking<runtime::RuntimeCommand>),
    /// Entitlements: what a tenant may do, and how much of it
    Grant(Asking<grant::GrantCommand>),
    /// Identity providers: who vouches for a tenant's people
    Provider(Asking<provider::ProviderCommand>),
    /// Licenses: what a runtime goes on with when the kernel is away
    License(license::LicenseArgs),
    /// A tenant's log
    Audit(Asking<audit::AuditCommand>),
    /// The runtime's side: enroll, run, ask
    Connector(ConnectorCommand),
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
    let output = Output::new(cli.output);
    let done = match cli.command {
        Command::Init(args) => local::init(args, &output),
        Command::Serve(args) => local::serve(&args),
        Command::Config(command) => local::config(&command, &output),
        Command::Status(admin) => block_on(local::status(admin, &output)),
        Command::Tenant(asking) => asking.run(&output),
        Command::Token(asking) => asking.run(&output),
        Command::Runtime(asking) => asking.run(&output),
        Command::Grant(asking) => asking.run(&output),
        Command::Provider(asking) => asking.run(&output),
        Command::License(args) => license::run(args, &output),
        Command::Audit(asking) => asking.run(&output),
        Command::Connector(command) => return connector(command),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output.complain(&failure);
            failure.exit().into()
        }
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
