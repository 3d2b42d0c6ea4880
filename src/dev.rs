//! `provost dev`: everything on one machine, real mutual TLS, real processes of one executable.
//!
//! A default feature; a production build leaves it out. The kernel, the connector, the issuer and
//! the pilot each run as a process of their own and die with the parent. `--check` walks one
//! runtime through its whole life and says at each step what it saw from outside; `--sabotage`
//! breaks one thing on purpose, and the check must find it.

mod admin;
mod check;
mod evidence;
mod home;
mod process;
mod sabotage;
mod steps;
mod welcome;
mod world;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

pub use self::process::die_with_parent;
use self::{
    check::CheckOptions,
    home::Home,
    sabotage::Sabotage,
    world::{PASSWORD, USER, World},
};

/// Everything on one machine, for a developer.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Walk one runtime through its whole life and prove each step; free ports, a folder of its own
    #[arg(long)]
    check: bool,
    /// With --check: print JSON lines
    #[arg(long, requires = "check")]
    json: bool,
    /// With --check: break one thing on purpose; the check must fail at its step
    #[arg(long, requires = "check", value_enum)]
    sabotage: Option<Sabotage>,
    /// Where the data lies
    #[arg(long, default_value = "./provost-dev", conflicts_with = "check")]
    data: PathBuf,
    /// Begin with an empty folder
    #[arg(long, conflicts_with = "check")]
    fresh: bool,
}

/// Processes of `provost dev` that are nobody else's.
#[derive(Debug, Subcommand)]
pub enum DevChild {
    /// The pilot runtime.
    #[command(name = "dev-courses", hide = true)]
    Courses(provost_courses::Config),
    /// The issuer where the pilot's users log in.
    #[command(name = "dev-issuer", hide = true)]
    Issuer(provost_courses::issuer::Config),
}

/// Runs `provost dev`; blocks until it ends. To be called outside any async runtime.
///
/// Everything happens on this thread: children die with the *thread* that started them.
#[must_use]
pub fn run(args: DevArgs) -> ExitCode {
    let work = async {
        if args.check {
            let options = CheckOptions {
                json: args.json,
                sabotage: args.sabotage,
            };
            check::run(options).await
        } else {
            live(args).await.map(|()| ExitCode::SUCCESS)
        }
    };
    finished(tokio::runtime::Builder::new_current_thread(), work)
}

/// Runs one of the child processes until it is told to stop.
#[must_use]
pub fn run_child(child: DevChild) -> ExitCode {
    let work = async { serve(child).await.map(|()| ExitCode::SUCCESS) };
    finished(tokio::runtime::Builder::new_multi_thread(), work)
}

fn finished(
    mut runtime: tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> ExitCode {
    let done = runtime
        .enable_all()
        .build()
        .context("starting")
        .and_then(|it| it.block_on(work));
    done.unwrap_or_else(|error| {
        evidence::complain(&format!("provost: {error:#}"));
        ExitCode::FAILURE
    })
}

async fn serve(child: DevChild) -> anyhow::Result<()> {
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let bound = |address: std::net::SocketAddr| evidence::say(&format!("listening on {address}"));
    match child {
        DevChild::Courses(config) => provost_courses::run(config, bound, stop).await?,
        DevChild::Issuer(config) => provost_courses::issuer::run(config, bound, stop).await?,
    }
    Ok(())
}

/// Starts everything, tells how to use it, and waits for Ctrl-C.
async fn live(args: DevArgs) -> anyhow::Result<()> {
    let home = Home::open(&args.data, args.fresh)?;
    let mut world = World::new(home)?;
    world.start_all().await?;
    let tenant = world
        .seed()
        .await
        .context("the pilot's user could not be set up")?;
    evidence::say(&welcome::text(&world, &tenant).await?);
    tokio::select! {
        ended = world.any_ended() => anyhow::bail!("{ended} has ended; its log is in the folder logs"),
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    evidence::say(&format!(
        "stopping (user {USER}, password {PASSWORD} stay as they are)"
    ));
    world.stop_all().await;
    Ok(())
}
