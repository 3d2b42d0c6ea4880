//! `provost audit prove`: one event's proof, for whoever verifies it offline.

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use provost_protocol::{
    TenantId,
    note::parse_verifier_key,
    tlog::{self, Proof},
};
use serde_json::json;

use super::{
    folder::write_whole,
    history::{VERIFIER_KEY, log_of},
};
use crate::{
    admin::view::InclusionProof,
    cli::{client::Client, exit::Failure, output::Output},
};

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// The tenant's id
    tenant: TenantId,
    /// The event's sequence in the tenant's log
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    /// The folder for SEQ.tlog-proof, SEQ.json (the event's exact bytes) and log.vkey
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) async fn prove(
    args: &ProveArgs,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    let (tenant, seq) = (args.tenant.to_string(), args.seq.to_string());
    let path = ["tenants", tenant.as_str(), "audit", seq.as_str(), "proof"];
    let answer: InclusionProof = client.get(&path, &[]).await?;
    let leaf = STANDARD
        .decode(&answer.leaf)
        .map_err(|error| Failure::failed("reading the proof", error))?;
    let checkpoint = args.believed(&answer, &leaf)?;

    let unusable = |error| Failure::Usage(format!("{}: {error}", args.out.display()));
    fs::create_dir_all(&args.out).map_err(unusable)?;
    let key = args.out.join(VERIFIER_KEY);
    let line = format!("{}\n", answer.verifier_key);
    match fs::read(&key) {
        // Proofs that lie there already are verified with it.
        Ok(held) if held != line.as_bytes() => {
            let why = "the folder holds proofs of another log, or of another epoch";
            return Err(Failure::Usage(format!("{}: {why}", key.display())));
        }
        Ok(_) => {}
        Err(_) => drop(write_whole(&args.out, VERIFIER_KEY, line.as_bytes())?),
    }
    let leaf = write_whole(&args.out, &format!("{seq}.json"), &leaf)?;
    let name = format!("{seq}.tlog-proof");
    let proof = write_whole(&args.out, &name, answer.proof.as_bytes())?;

    if output.is_json() {
        return output.json(&json!({
            "seq": answer.seq,
            "size": checkpoint.size,
            "root": hex::encode(checkpoint.root),
            "proof": proof,
            "leaf": leaf,
            "key": key,
        }));
    }
    output.line(&format!(
        "proof  {}\nleaf   {}\nkey    {}",
        proof.display(),
        leaf.display(),
        key.display(),
    ))
}

impl ProveArgs {
    /// Verifies what is about to be handed on: a proof that does not hold is not written.
    fn believed(&self, answer: &InclusionProof, leaf: &[u8]) -> Result<tlog::Checkpoint, Failure> {
        let doubted = |why: String| Failure::failed("verifying the kernel's proof", why);
        let (origin, key) =
            parse_verifier_key(&answer.verifier_key).map_err(|error| doubted(error.to_string()))?;
        let proof = Proof::parse(&answer.proof).map_err(|error| doubted(error.to_string()))?;
        let named = log_of(origin).is_some_and(|(tenant, _)| tenant == self.tenant);
        if !named || proof.index.checked_add(1) != Some(self.seq) {
            return Err(doubted("it is of another event".to_owned()));
        }
        proof
            .verify(leaf, origin, &key)
            .map_err(|error| doubted(error.to_string()))
    }
}
