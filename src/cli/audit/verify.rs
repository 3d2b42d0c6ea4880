//! `provost audit verify`: whether a proof, an exported log or a data folder holds.
//!
//! It ends with 0 when all of it holds, with 4 when anything does not, and with 2 when it could not
//! be read at all: what cannot be read is neither.

mod data;
mod export;
mod proof;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use provost_protocol::note::parse_verifier_key;
use serde_json::Value;

use super::history;
use crate::cli::{
    exit::Failure,
    output::{Output, clean},
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["proof", "export", "data"]))]
pub(super) struct VerifyArgs {
    /// A tlog-proof of one event, as `audit prove` writes it
    #[arg(long, value_name = "FILE", requires_all = ["leaf", "verifier"])]
    proof: Option<PathBuf>,
    /// The event's exact bytes
    #[arg(long, value_name = "FILE", requires = "proof")]
    leaf: Option<PathBuf>,
    /// A log in the folder that `audit export` wrote; every event and every tile is read
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// A kernel's data folder, at rest or in use: every byte of journal and indexes is read
    #[arg(long, value_name = "DIR", conflicts_with_all = ["verifier", "leaf"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    verifier: VerifierArgs,
}

/// The public key that must have signed. It is worth as much as the way on which it came.
#[derive(Debug, Args)]
#[group(id = "verifier", multiple = false)]
struct VerifierArgs {
    /// The file with the log's verifier key; without one, an export's own is taken, and named
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The verifier key itself: NAME+ID+KEY
    #[arg(long, value_name = "KEY")]
    vkey: Option<String>,
}

/// What verifying came to.
struct Verdict {
    /// In a word or two, where it does not hold.
    refused: Option<&'static str>,
    text: String,
    json: Value,
}

/// Verifies what was named, and says what came of it.
pub(super) fn verify(args: &VerifyArgs, output: &Output) -> Result<(), Failure> {
    let verdict = match (&args.proof, &args.leaf, &args.export, &args.data) {
        (Some(proof), Some(leaf), _, _) => proof::verify(proof, leaf, &args.verifier.must()?)?,
        (_, _, Some(folder), _) => export::verify(folder, args.verifier.given()?, output)?,
        (_, _, _, Some(folder)) => data::verify(folder, output)?,
        // clap asks for one of them.
        _ => return Err(Failure::Usage("name what to verify".to_owned())),
    };
    if output.is_json() {
        output.json(&verdict.json)?;
    } else {
        output.line(&clean(&verdict.text))?;
    }
    verdict
        .refused
        .map_or(Ok(()), |why| Err(Failure::Unverified(why)))
}

impl VerifierArgs {
    /// The verifier key, if one was named.
    fn given(&self) -> Result<Option<String>, Failure> {
        match (&self.key, &self.vkey) {
            (Some(path), _) => read_key(path).map(Some),
            (None, Some(text)) => checked(text, "--vkey").map(Some),
            (None, None) => Ok(None),
        }
    }

    fn must(&self) -> Result<String, Failure> {
        self.given()?
            .ok_or_else(|| Failure::Usage("name the key with --key or --vkey".to_owned()))
    }
}

/// Reads the file that holds a verifier key.
fn read_key(path: &Path) -> Result<String, Failure> {
    let place = path.display().to_string();
    let bytes = read(path, KEY_BYTES_MAX)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    checked(&text, &place)
}

fn checked(text: &str, place: &str) -> Result<String, Failure> {
    let text = text.trim();
    match parse_verifier_key(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Failure::Usage(format!("{place}: {error}"))),
    }
}

/// Reads a file that must be there, up to its limit: what is longer is no such file.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let unreadable = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    history::read(path, max)
        .map_err(|error| unreadable(error.to_string()))?
        .ok_or_else(|| unreadable(format!("more than {max} bytes")))
}

/// A name of 256 bytes, an id and a key.
const KEY_BYTES_MAX: usize = 1_024;
