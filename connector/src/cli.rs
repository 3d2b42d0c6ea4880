//! The command line: `provost-connector …`, and the same as `provost connector …`.
//!
//! Exit codes: 0 done (for `check`: allowed), 1 the connector or the kernel refused or failed,
//! 2 the command line or the configuration is wrong, 3 the connector does not run, 4 `check`
//! was denied.

mod ask;

use std::{
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use provost_protocol::TenantId;

use crate::{
    config::{Config, ConfigError, LOCAL_PORT},
    enroll::enroll_through,
    route::ProxySetting,
    run::{RunError, run},
};

/// The runtime's side of Provost: enrolls, connects out, answers the product beside it.
#[derive(Debug, Parser)]
#[command(name = "provost-connector", version)]
pub struct ConnectorCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What a connector can be told.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Enrolls this runtime with a token. Harmless to repeat: keys are made once.
    Enroll {
        /// The token, as it was printed; `-` reads it from standard input.
        #[arg(env = "PROVOST_ENROLMENT_TOKEN", hide_env_values = true)]
        token: String,
        /// Where keys, licenses and the spool will lie.
        #[arg(long)]
        data: PathBuf,
        /// The HTTP proxy that leads to the kernel, `http://[user:password@]host:port`, in place of
        /// HTTPS_PROXY; `none` for no proxy.
        #[arg(long, env = "PROVOST_CONNECTOR_PROXY", hide_env_values = true)]
        proxy: Option<ProxySetting>,
    },
    /// Runs the connector until it is told to stop.
    Run(RunArgs),
    /// Shows where a running connector stands: link, mode and countdown of each tenant, spool.
    Status {
        /// The connector's local API.
        #[command(flatten)]
        local: LocalArgs,
        /// For people or for programs.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Asks a running connector whether the runtime may execute.
    Check {
        /// A dotted key, perhaps with `:resource`.
        feature: String,
        /// The resource, where the feature does not name it.
        #[arg(long)]
        resource: Option<String>,
        /// The tenant acted for; the runtime's own without it.
        #[arg(long)]
        tenant: Option<TenantId>,
        /// The connector's data folder: who may read it may ask.
        #[arg(long)]
        data: PathBuf,
        /// The connector's local API.
        #[command(flatten)]
        local: LocalArgs,
        /// For people or for programs.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Prints the license file held for a tenant.
    License {
        /// The tenant acted for; the runtime's own without it.
        #[arg(long)]
        tenant: Option<TenantId>,
        /// The connector's local API.
        #[command(flatten)]
        local: LocalArgs,
    },
}

/// How to run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file; `--data` alone takes the defaults.
    #[arg(long, required_unless_present = "data")]
    pub config: Option<PathBuf>,
    /// Where keys, licenses and the spool lie, in place of the file's.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Where the local API listens, in place of the file's.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
}

/// Where a running connector is asked.
#[derive(Debug, Clone, Copy, Args)]
pub struct LocalArgs {
    /// The connector's local API.
    #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], LOCAL_PORT)))]
    pub local: SocketAddr,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why a command failed, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    Failed,
    Usage,
    NotRunning,
    Denied,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0_u8,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotRunning => 3,
            Exit::Denied => 4,
        })
    }
}

/// Carries a command out; the exit code says how it went.
pub async fn execute(command: ConnectorCommand) -> ExitCode {
    let done = match command.action {
        Action::Enroll { token, data, proxy } => enroll_here(token, data, proxy).await,
        Action::Run(args) => run_here(args).await,
        Action::Status { local, output } => ask::status(local.local, output).await,
        Action::Check {
            feature,
            resource,
            tenant,
            data,
            local,
            output,
        } => {
            let check = ask::Checking {
                feature,
                resource,
                tenant,
                data,
            };
            ask::check(local.local, check, output).await
        }
        Action::License { tenant, local } => ask::license(local.local, tenant).await,
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = exit_of(&error);
            say_error(&format!("error: {error:#}"));
            exit.into()
        }
    }
}

async fn enroll_here(
    token: String,
    data: PathBuf,
    proxy: Option<ProxySetting>,
) -> anyhow::Result<Exit> {
    let token = if token == "-" {
        tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()))
            .await?
            .context("reading the token from standard input")?
    } else {
        token
    };
    let enrolled = enroll_through(&token, &data, proxy.as_ref()).await?;
    let word = if enrolled.already {
        "enrolled already, the token was not used"
    } else {
        "enrolled"
    };
    say(&format!(
        "{word}: runtime {} of tenant {}, kernel {}",
        enrolled.runtime_id, enrolled.tenant_id, enrolled.kernel
    ))?;
    Ok(Exit::Done)
}

async fn run_here(args: RunArgs) -> anyhow::Result<Exit> {
    let config = configured(args)?;
    run(config, signalled()).await?;
    Ok(Exit::Done)
}

fn configured(args: RunArgs) -> Result<Config, ConfigError> {
    let mut config = match (&args.config, &args.data) {
        (Some(path), _) => Config::load(path)?,
        (None, Some(data)) => Config::new(data),
        // clap asks for one of the two.
        (None, None) => {
            return Err(ConfigError::Value {
                key: "data_dir",
                why: "is missing".to_owned(),
            });
        }
    };
    if let Some(data) = args.data {
        config.data_dir = data;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    config.check()?;
    Ok(config)
}

/// Ready when the process is told to stop.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<ConfigError>().is_some()
        || matches!(error.downcast_ref::<RunError>(), Some(RunError::Config(_)))
    {
        return Exit::Usage;
    }
    match error.downcast_ref::<ask::AskError>() {
        Some(ask::AskError::NotRunning { .. }) => Exit::NotRunning,
        _ => Exit::Failed,
    }
}

/// Whoever has closed the pipe has read enough.
fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("the answer cannot be written")
        }
        _ => Ok(()),
    }
}

#[expect(clippy::print_stderr, reason = "a command's complaint")]
fn say_error(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        ConnectorCommand::command().debug_assert();
    }

    #[test]
    fn arguments_go_before_the_file() {
        let command = ConnectorCommand::try_parse_from([
            "provost-connector",
            "run",
            "--data",
            "d",
            "--listen",
            "127.0.0.1:9",
        ]);
        let Action::Run(args) = command.unwrap().action else {
            panic!("not run")
        };
        let config = configured(args).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("d"));
        assert_eq!(config.listen.port(), 9);
        assert!(ConnectorCommand::try_parse_from(["provost-connector", "run"]).is_err());
    }
}
