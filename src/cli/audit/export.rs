//! `provost audit export`: a tenant's whole log, as anyone can verify it.
//!
//! The folder has its name only when what lies on the disk was read back and gives the root that
//! the kernel signed: an export that broke off, or that lost an event on the way, is never there.

use std::path::PathBuf;

use clap::Args;
use provost_protocol::{TenantId, tlog::leaf_hash};
use serde_json::json;

use super::{
    event::Event,
    folder::Filling,
    history::{Broken, CHECKPOINT, History, VERIFIER_KEY, log_of},
    tiles::{Tile, Tiles},
};
use crate::{
    admin::view::{Checkpoint, Page},
    cli::{
        client::{Client, PAGE_MAX},
        exit::Failure,
        meter::{Meter, Unit},
        output::Output,
    },
};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The tenant's id
    tenant: TenantId,
    /// A new folder, or an empty one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes events, and the tiles above them, as they come.
struct Writer<'a> {
    filling: &'a Filling,
    tiles: Tiles,
    /// The bundle that is not full yet, each event after its length.
    bundle: Vec<u8>,
}

pub(super) async fn export(
    args: &ExportArgs,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    let filling = Filling::begin(&args.out)?;
    let tenant = args.tenant.to_string();
    let path = ["tenants", tenant.as_str(), "audit", "checkpoint"];
    let signed: Checkpoint = client.get(&path, &[]).await?;
    let key = signed.verifier_key.trim();
    let line = format!("{key}\n");
    filling.write(VERIFIER_KEY.as_ref(), line.as_bytes())?;
    filling.write(CHECKPOINT.as_ref(), signed.checkpoint.as_bytes())?;
    // The checkpoint holds before the first event is asked for.
    let history = History::open(filling.path(), key).map_err(not_verified)?;
    let checkpoint = history.checkpoint();
    if log_of(&checkpoint.origin) != Some((args.tenant, signed.epoch)) {
        let what = "the kernel answered the checkpoint of another log";
        return Err(Failure::failed("exporting", what));
    }

    fetch(&filling, client, &tenant, output, checkpoint.size).await?;
    let mut meter = Meter::new(output);
    history
        .verify(|good| meter.at("verifying", Unit::Events, (good, checkpoint.size)))
        .map_err(not_verified)?;
    drop(meter);
    let done = json!({
        "verified": true,
        "out": args.out,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": hex::encode(checkpoint.root),
        "verifier_key": key,
    });
    let text = format!(
        "{} holds {} events\n\
         root {}\n\
         key  {key}",
        args.out.display(),
        checkpoint.size,
        hex::encode(checkpoint.root),
    );
    filling.finish()?;
    if output.is_json() {
        return output.json(&done);
    }
    output.line(&text)
}

/// Reads the first `size` events of the log, in order, and writes them.
async fn fetch(
    filling: &Filling,
    client: &Client,
    tenant: &str,
    output: &Output,
    size: u64,
) -> Result<(), Failure> {
    let mut writer = Writer {
        filling,
        tiles: Tiles::default(),
        bundle: Vec::new(),
    };
    let mut meter = Meter::new(output);
    let page_max = u64::try_from(PAGE_MAX).unwrap_or(u64::MAX);
    loop {
        let done = writer.tiles.frontier().size();
        meter.at("exporting", Unit::Events, (done, size));
        if done >= size {
            return writer.finish();
        }
        let limit = (size - done).min(page_max);
        let query = [("after", done.to_string()), ("limit", limit.to_string())];
        let path = ["tenants", tenant, "audit"];
        let page: Page<Event> = client.get_patiently(&path, &query).await?;
        if page.items.is_empty() {
            let what = format!("the log ends at event {done}, before its checkpoint");
            return Err(Failure::failed("exporting", what));
        }
        for event in &page.items {
            writer.append(event)?;
        }
    }
}

impl Writer<'_> {
    fn append(&mut self, event: &Event) -> Result<(), Failure> {
        let bytes = event.as_bytes();
        let length = u16::try_from(bytes.len())
            .map_err(|error| Failure::failed("reading an event", error))?;
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(bytes);
        for tile in self.tiles.append(leaf_hash(bytes)) {
            self.write(&tile)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        for tile in self.tiles.partial() {
            self.write(&tile)?;
        }
        Ok(())
    }

    fn write(&mut self, tile: &Tile) -> Result<(), Failure> {
        self.filling.write(&tile.path(), &tile.to_bytes())?;
        if tile.level == 0 {
            self.filling.write(&tile.entries(), &self.bundle)?;
            self.bundle.clear();
        }
        Ok(())
    }
}

/// The kernel's answers do not go together, or the disk did not keep them.
fn not_verified(broken: Broken) -> Failure {
    Failure::failed("verifying what was exported", broken)
}
