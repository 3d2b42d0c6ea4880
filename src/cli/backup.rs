//! `provost backup`: one file that holds an installation, made beside the running kernel; and the
//! way back.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use provost_actors::{Clock as _, Random as _, SystemClock, SystemRandom};
use provost_protocol::{CorrelationId, InstallId};
use provost_store::backup::{
    self, Backup, BackupError, Doing, LogEnd, Making, Progress, Restored, Restoring,
};
use serde_json::{Value, json};

use super::{
    exit::Failure,
    local::ConfigArgs,
    meter::{Meter, Unit},
    output::{Output, clean, told},
    store,
};
use crate::{
    config::Config,
    install::{self, Install},
};

/// Commands about backups.
#[derive(Debug, Args)]
pub(super) struct BackupGroup {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Make a backup, beside a running kernel or without one; it holds private keys
    Create(CreateArgs),
    /// Say whether a backup holds: every byte, every group of the journal, every event
    Verify(VerifyArgs),
    /// Make an installation out of a backup, in an empty folder and in a new epoch
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file to be made; one that exists is not overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The backup
    file: PathBuf,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// An empty folder, or one to be made
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Refuse a backup of any other installation
    #[arg(long, value_name = "ID")]
    expect_install: Option<InstallId>,
    /// Refuse a backup of another installation than the one that this configuration file is for
    #[arg(long, value_name = "FILE", conflicts_with = "expect_install")]
    expect_config: Option<PathBuf>,
}

/// Does what was asked, and says what came of it.
pub(super) fn run(group: BackupGroup, output: &Output) -> Result<(), Failure> {
    match group.command {
        BackupCommand::Create(args) => create(&args, output),
        BackupCommand::Verify(args) => verify(&args, output),
        BackupCommand::Restore(args) => restore(args, output),
    }
}

fn create(args: &CreateArgs, output: &Output) -> Result<(), Failure> {
    let config = args.config.load()?;
    let install = identity(&config.data_dir)?;
    let making = Making {
        data_dir: config.data_dir,
        to: args.to.clone(),
        install_id: install.install_id,
        created: SystemClock.now(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut meter = Meter::new(output);
    let made = backup::create(&making, &mut |progress| show(&mut meter, progress));
    drop(meter);
    let made = made.map_err(|error| refused(error, output))?;
    say(&made, &args.to, output)
}

fn verify(args: &VerifyArgs, output: &Output) -> Result<(), Failure> {
    say(&opened(&args.file, output)?, &args.file, output)
}

fn restore(args: RestoreArgs, output: &Output) -> Result<(), Failure> {
    let expected = match &args.expect_config {
        Some(path) => {
            let config = Config::load(path).map_err(|error| Failure::Usage(told(&error)))?;
            Some(identity(&config.data_dir)?.install_id)
        }
        None => args.expect_install,
    };
    let backup = opened(&args.file, output)?;
    if let Some(expected) = expected {
        let right = backup.require_install(expected);
        right.map_err(|error| refused(error, output))?;
    }
    let now = SystemClock.now();
    let restoring = Restoring {
        backup: &backup,
        to: args.to,
        now,
        correlation_id: CorrelationId::from_parts(now, SystemRandom.id_bytes()),
        options: store::options(),
    };
    let mut meter = Meter::new(output);
    let restored = backup::restore(&restoring, &mut |progress| show(&mut meter, progress));
    drop(meter);
    let restored = restored.map_err(|error| refused(error, output))?;
    let (header, to) = (backup.header(), restoring.to.display());
    if output.is_json() {
        return output.json(&json!({
            "install_id": header.install_id,
            "data_dir": restoring.to,
            "backup_created": header.created,
            "events": header.records,
            "tenants": restored.iter().map(restored_json).collect::<Vec<_>>(),
        }));
    }
    let epoch = restored.iter().map(|one| one.epoch).max().unwrap_or(0);
    output.line(&format!(
        "restored         {to}\n\
         installation     {}\n\
         as it was        {}\n\
         events           {} of {} tenants\n\
         epoch            {epoch}\n\
         \n\
         Never start the old folder again: its numbers are given out anew here.",
        header.install_id,
        header.created,
        header.records,
        restored.len(),
    ))
}

/// Whose folder it is.
fn identity(data_dir: &Path) -> Result<Install, Failure> {
    Install::load(data_dir).map_err(|error| Failure::Usage(told(&error)))
}

/// A backup that holds, and holds what makes an installation.
fn opened(file: &Path, output: &Output) -> Result<Backup, Failure> {
    let mut meter = Meter::new(output);
    let opened = Backup::open(file, &mut |progress| show(&mut meter, progress));
    drop(meter);
    let backup = opened.map_err(|error| refused(error, output))?;
    let identity = backup
        .small_file(install::FILE_NAME)
        .map_err(|error| refused(error, output))?;
    let identity = identity.and_then(|text| serde_json::from_slice::<Install>(&text).ok());
    if identity.map(|install| install.install_id) == Some(backup.header().install_id) {
        return Ok(backup);
    }
    let why = format!("{} holds the identity of no installation", file.display());
    Err(unsound(&why, output))
}

/// Says what a backup holds.
fn say(backup: &Backup, file: &Path, output: &Output) -> Result<(), Failure> {
    let header = backup.header();
    if output.is_json() {
        return output.json(&json!({
            "holds": true,
            "file": file,
            "bytes": backup.bytes(),
            "format": header.format,
            "install_id": header.install_id,
            "created": header.created,
            "program": header.program,
            "journal_end": header.end().to_string(),
            "groups": header.groups,
            "events": header.records,
            "tenants": backup.ends().iter().map(end_json).collect::<Vec<_>>(),
        }));
    }
    let last = backup.ends().iter().map(|end| end.size).max().unwrap_or(0);
    output.line(&format!(
        "backup           {}, {} bytes, every one of them checked; it holds private keys\n\
         installation     {}\n\
         made             {} by provost {}\n\
         events           {} of {} tenants, in {} groups; the longest log ends at {last}\n\
         journal ends     {}",
        file.display(),
        backup.bytes(),
        header.install_id,
        header.created,
        header.program,
        header.records,
        backup.ends().len(),
        header.groups,
        header.end(),
    ))
}

fn end_json(end: &LogEnd) -> Value {
    json!({
        "tenant_id": end.tenant,
        "epoch": end.epoch,
        "size": end.size,
        "root": hex::encode(end.root),
    })
}

fn restored_json(restored: &Restored) -> Value {
    json!({
        "tenant_id": restored.end.tenant,
        "old_epoch": restored.end.epoch,
        "epoch": restored.epoch,
        "size": restored.end.size,
        "root": hex::encode(restored.end.root),
    })
}

/// Who must act: whoever named the file, whoever keeps the backup, or whoever runs the machine.
fn refused(error: BackupError, output: &Output) -> Failure {
    if error.is_unsound() {
        unsound(&told(&error), output)
    } else if error.is_refusal() {
        Failure::Ruled(told(&error))
    } else {
        Failure::failed("the backup", error)
    }
}

/// Says on standard output, as every verdict, why a backup does not hold.
fn unsound(why: &str, output: &Output) -> Failure {
    let said = if output.is_json() {
        output.json(&json!({"holds": false, "why": why}))
    } else {
        output.line(&clean(why))
    };
    match said {
        Ok(()) => Failure::Unverified("the backup does not hold"),
        Err(failure) => failure,
    }
}

fn show(meter: &mut Meter<'_>, progress: Progress) {
    let (doing, unit) = match progress.doing {
        Doing::Checking => ("checking the journal", Unit::Bytes),
        Doing::Writing => ("writing", Unit::Bytes),
        Doing::Reading => ("reading the backup", Unit::Bytes),
        Doing::CheckingJournal => ("checking its journal", Unit::Events),
        Doing::Restoring => ("restoring", Unit::Bytes),
        Doing::Replaying => ("building the state", Unit::Events),
        _ => ("working", Unit::Bytes),
    };
    meter.at(doing, unit, (progress.done, progress.total));
}
