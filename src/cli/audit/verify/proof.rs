//! Whether an event stands in a log, by nothing but a proof and a public key.

use std::path::Path;

use provost_protocol::{
    envelope::{ENVELOPE_BYTES_MAX, Envelope},
    note::parse_verifier_key,
    tlog::{Checkpoint, PROOF_BYTES_MAX, Proof, TlogError},
};
use serde_json::json;

use super::{Verdict, read};
use crate::cli::exit::Failure;

pub(super) fn verify(proof: &Path, leaf: &Path, key: &str) -> Result<Verdict, Failure> {
    let proof = read(proof, PROOF_BYTES_MAX)?;
    let leaf = read(leaf, ENVELOPE_BYTES_MAX)?;
    Ok(match judge(&proof, &leaf, key) {
        Ok((index, checkpoint)) => good(index, &checkpoint, &leaf, key),
        Err(error) => Verdict {
            refused: Some("the proof"),
            text: format!("NOT VERIFIED\nwhy         {error}\nkey         {key}"),
            json: json!({"verified": false, "why": error.to_string(), "verifier_key": key}),
        },
    })
}

fn judge(proof: &[u8], leaf: &[u8], key: &str) -> Result<(u64, Checkpoint), TlogError> {
    let (origin, key) = parse_verifier_key(key)?;
    let text = std::str::from_utf8(proof).map_err(|_| TlogError::NotProof)?;
    let proof = Proof::parse(text)?;
    Ok((proof.index, proof.verify(leaf, origin, &key)?))
}

fn good(index: u64, checkpoint: &Checkpoint, leaf: &[u8], key: &str) -> Verdict {
    let seq = index.saturating_add(1);
    let root = hex::encode(checkpoint.root);
    // The bytes are proved whatever they say; a kind of a later kernel is not spelled out.
    let event = Envelope::from_bytes(leaf).map_or_else(
        |_| seq.to_string(),
        |event| format!("{seq}, {} at {}", event.event.kind(), event.time),
    );
    Verdict {
        refused: None,
        text: format!(
            "VERIFIED\n\
             event       {event}\n\
             log         {}\n\
             checkpoint  {} events, root {root}\n\
             key         {key}",
            checkpoint.origin, checkpoint.size,
        ),
        json: json!({
            "verified": true,
            "seq": seq,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": root,
            "verifier_key": key,
        }),
    }
}
