//! Whether an exported log is what was signed.

use std::path::Path;

use serde_json::json;

use super::{Verdict, read_key};
use crate::cli::{
    audit::history::{Broken, History, VERIFIER_KEY},
    exit::Failure,
    meter::{Meter, Unit},
    output::{Output, told},
};

pub(super) fn verify(
    folder: &Path,
    given: Option<String>,
    output: &Output,
) -> Result<Verdict, Failure> {
    let own = given.is_none();
    let key = given.map_or_else(|| read_key(&folder.join(VERIFIER_KEY)), Ok)?;
    let mut size = None;
    let judged = History::open(folder, &key).and_then(|history| {
        let checkpoint = history.checkpoint();
        size = Some(checkpoint.size);
        let mut meter = Meter::new(output);
        history.verify(|good| meter.at("verifying", Unit::Events, (good, checkpoint.size)))?;
        Ok(checkpoint.clone())
    });
    let key_line = if own {
        format!("{key}, from the folder itself: compare it with one you trust")
    } else {
        key.clone()
    };
    match judged {
        Ok(checkpoint) => Ok(Verdict {
            refused: None,
            text: format!(
                "VERIFIED\n\
                 log     {}\n\
                 events  {}\n\
                 root    {}\n\
                 key     {key_line}",
                checkpoint.origin,
                checkpoint.size,
                hex::encode(checkpoint.root),
            ),
            json: json!({
                "verified": true,
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": hex::encode(checkpoint.root),
                "verifier_key": key,
                "key_of_the_folder": own,
            }),
        }),
        Err(broken @ Broken::Unreadable { .. }) => Err(Failure::Usage(told(&broken))),
        Err(broken) => {
            let why = told(&broken);
            let (file, events) = match &broken {
                Broken::Wrong { place, events, .. } => (Some(place), Some(events)),
                Broken::Unreadable { .. } | Broken::Checkpoint(_) | Broken::Root => (None, None),
            };
            Ok(Verdict {
                refused: Some("the history"),
                text: format!("NOT VERIFIED\nwhy     {why}\nkey     {key_line}"),
                json: json!({
                    "verified": false,
                    "why": why,
                    "file": file,
                    "first_wrong": events.map(|(first, _)| first),
                    "last_wrong": events.map(|(_, last)| last),
                    "size": size,
                    "verifier_key": key,
                    "key_of_the_folder": own,
                }),
            })
        }
    }
}
