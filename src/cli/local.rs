//! What is done on the kernel's own machine: init, serve, config check; and status.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{
    client::{AdminArgs, Client},
    exit::Failure,
    output::{Output, told},
};
use crate::{
    admin::view::Status,
    config::Config,
    daemon,
    init::{Init, InitError, initialise},
    telemetry::{self, Metrics},
};

/// What can be chosen about a new installation.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// An empty folder, or one to be made
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The internal tenant's name
    #[arg(long, default_value = "internal")]
    name: String,
    /// The internal tenant's time zone, a name of the IANA database
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
}

/// Which configuration is used.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "PROVOST_CONFIG", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// No file: the defaults for this data folder
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
}

/// Commands about configurations.
#[derive(Debug, Args)]
pub(super) struct ConfigGroup {
    #[command(subcommand)]
    command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a configuration file can be used, and where it is wrong
    Check(ConfigArgs),
}

impl ConfigArgs {
    pub(super) fn load(&self) -> Result<Config, Failure> {
        match &self.data {
            Some(data) => Ok(Config::new(data)),
            None => Config::load(&self.config).map_err(|error| Failure::Usage(told(&error))),
        }
    }
}

/// Makes an installation and says where everything is.
pub(super) fn init(args: InitArgs, output: &Output) -> Result<(), Failure> {
    let wish = Init {
        data_dir: args.data,
        name: args.name,
        time_zone: args.time_zone,
    };
    let made = initialise(&wish).map_err(|error| match error {
        InitError::AlreadyInitialised { .. }
        | InitError::NotEmpty { .. }
        | InitError::Rejected(_) => Failure::Ruled(error.to_string()),
        _ => Failure::failed("init", error),
    })?;
    if output.is_json() {
        return output.json(&made);
    }
    let (data, key_file) = (shell(&made.data_dir), shell(&made.admin_key_file));
    output.line(&format!(
        "installation     {}\n\
         internal tenant  {}\n\
         data folder      {}\n\
         first admin key  {}, readable by its owner only\n\
         license key      {} {}\n\
         root SHA-256     {}\n\
         \n\
         next:\n  \
         provost serve --data {data}\n  \
         export PROVOST_KEY_FILE={key_file}\n  \
         provost tenant create \"First customer\"",
        made.install_id,
        made.internal_tenant,
        made.data_dir.display(),
        made.admin_key_file.display(),
        made.license_kid,
        made.license_public_key,
        made.root_sha256,
    ))
}

/// Runs the kernel until SIGTERM or SIGINT.
pub(super) fn serve(args: &ConfigArgs) -> Result<(), Failure> {
    let config = args.load()?;
    telemetry::log(&config.log).map_err(|error| Failure::Usage(told(&error)))?;
    let metrics = Metrics::install().map_err(|error| Failure::failed("starting", error))?;
    // Where it listens is logged by the daemon itself.
    daemon::run(config, metrics, |_| {}, told_to_stop())
        .map_err(|error| Failure::failed("the kernel", error))
}

/// Says whether a configuration can be used.
pub(super) fn config(group: ConfigGroup, output: &Output) -> Result<(), Failure> {
    let ConfigCommand::Check(args) = group.command;
    let config = args.load()?;
    if output.is_json() {
        return output.json(&json!({
            "usable": true,
            "data_dir": config.data_dir,
            "runtime_listen": config.runtime.listen,
            "admin_listen": config.admin.listen,
        }));
    }
    output.line(&format!(
        "{} can be used: data in {}, runtimes at {}, administration at {}",
        args.data.as_ref().unwrap_or(&args.config).display(),
        config.data_dir.display(),
        config.runtime.listen,
        config.admin.listen,
    ))
}

/// Shows how a running kernel does.
pub(super) async fn status(admin: AdminArgs, output: &Output) -> Result<(), Failure> {
    let status: Status = Client::new(admin)?.get(&["status"], &[]).await?;
    output.one(&status)
}

/// Logs as the connector's own executable does. Logging that is set up already stays as it is.
pub(super) fn log_for_connector() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Ready when the process is told to stop. A signal that cannot be heard never stops it.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A path as a POSIX shell takes it.
fn shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Where the unit in `systemd/` looks for it.
const CONFIG_FILE: &str = "/etc/provost/provost.toml";
