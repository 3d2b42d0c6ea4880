//! `provost key`.

mod shown;

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;

use super::{Ask, client::Client, exit::Failure, output::Output};
use crate::admin::{
    body::{CaStep, RotateCa},
    view::{Ca, CaRuntime, Keys, Page, Rotated},
};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List the public halves of the installation's keys
    List,
    /// Exchange a key for another
    Rotate {
        #[command(subcommand)]
        what: What,
    },
}

/// Which key is exchanged.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// The certificate authority: prepare, wait for the fleet, activate, wait, retire
    Ca(CaArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("step").required(true)))]
pub(super) struct CaArgs {
    /// Show where the rotation stands, and who does not trust the next root yet
    #[arg(long, group = "step")]
    status: bool,
    /// Make the next root, and tell runtimes to trust it
    #[arg(long, group = "step")]
    prepare: bool,
    /// Sign with the next root; refused while active runtimes have not confirmed it
    #[arg(long, group = "step")]
    activate: bool,
    /// Trust the old root no more; refused while certificates of it are good
    #[arg(long, group = "step")]
    retire: bool,
    /// Give up a root that was prepared
    #[arg(long, group = "step")]
    abort: bool,
    /// Activate or retire though runtimes may be cut off
    #[arg(long, conflicts_with_all = ["status", "prepare", "abort"])]
    force: bool,
    /// With --status: name at most so many of those that have not confirmed
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl CaArgs {
    const fn step(&self) -> Option<CaStep> {
        match (self.prepare, self.activate, self.retire, self.abort) {
            (true, ..) => Some(CaStep::Prepare),
            (_, true, ..) => Some(CaStep::Activate),
            (_, _, true, _) => Some(CaStep::Retire),
            (.., true) => Some(CaStep::Abort),
            _ => None,
        }
    }
}

/// What `--status` prints for programs.
#[derive(Debug, serde::Serialize)]
struct CaStatus {
    #[serde(flatten)]
    ca: Ca,
    /// Active runtimes that have not confirmed, as many as were asked for.
    not_confirmed: Vec<CaRuntime>,
}

impl Ask for KeyCommand {
    async fn ask(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List => {
                let keys: Keys = client.get(&["keys"], &[]).await?;
                if output.is_json() {
                    return output.json(&keys);
                }
                let items = keys.keys.clone();
                output.list(&Page {
                    items,
                    next_cursor: None,
                })?;
                output.line(&format!("root {}", keys.root_sha256))
            }
            Self::Rotate {
                what: What::Ca(args),
            } => match args.step() {
                Some(step) => {
                    let body = RotateCa {
                        step,
                        force: args.force,
                    };
                    let path = ["keys", "ca", "rotation"];
                    let done: Rotated = client.send(Method::POST, &path, &body).await?;
                    if done.cut_off > 0 {
                        output.note(&format!("{} runtimes may be cut off", done.cut_off));
                    }
                    output.one(&done.ca)
                }
                None => status(client, output, args.limit).await,
            },
        }
    }
}

async fn status(client: &Client, output: &Output, limit: usize) -> Result<(), Failure> {
    let ca: Ca = client.get(&["keys", "ca"], &[]).await?;
    let mut not_confirmed = Vec::new();
    if ca
        .adoption
        .is_some_and(|adoption| adoption.missing + adoption.suspended > 0)
    {
        for word in ["missing", "delivered", "suspended"] {
            let room = limit - not_confirmed.len();
            not_confirmed.extend(runtimes(client, word, room).await?);
        }
    }
    if output.is_json() {
        return output.json(&CaStatus { ca, not_confirmed });
    }
    output.one(&ca)?;
    if not_confirmed.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.list(&Page {
        items: not_confirmed,
        next_cursor: None,
    })
}

/// Those that stand so to the roots, page after page, at most `limit`.
async fn runtimes(client: &Client, word: &str, limit: usize) -> Result<Vec<CaRuntime>, Failure> {
    let (mut found, mut next) = (Vec::new(), None);
    while found.len() < limit {
        let wanted = (limit - found.len()).min(super::client::PAGE_MAX);
        let mut query = vec![("limit", wanted.to_string()), ("adoption", word.to_owned())];
        query.extend(next.take().map(|cursor| ("page[cursor]", cursor)));
        let path = ["keys", "ca", "runtimes"];
        let page: Page<CaRuntime> = client.get(&path, &query).await?;
        found.extend(page.items);
        next = page.next_cursor;
        if next.is_none() {
            break;
        }
    }
    Ok(found)
}
