//! `provost license verify`: the verdict, and what it rests on.

use std::path::PathBuf;

use clap::Args;
use provost_actors::{Clock as _, SystemClock};
use provost_protocol::{
    Timestamp,
    license::{Check, Held, Refused, Verdict, Verified, VerifyingKey, verify as judge},
};
use serde_json::{Value, json};

use super::file;
use crate::cli::{
    exit::Failure,
    output::{Output, clean},
    when::{span, when},
};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The license file; - reads standard input
    file: PathBuf,
    /// A public key that may have signed it: 64 hex digits, or a file in PEM; may be repeated
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// SHA-256 of the binding key it must be bound to, in hex
    #[arg(long, value_name = "HEX", value_parser = binding)]
    cnf: Option<[u8; 32]>,
    /// The time to judge it at; without it, this machine's clock
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// The highest sequence seen before, as EPOCH.SEQ
    #[arg(long, value_name = "EPOCH.SEQ", value_parser = place)]
    highest: Option<(u64, u64)>,
    /// A time that is known to have passed
    #[arg(long, value_name = "TIME")]
    floor: Option<Timestamp>,
}

/// Prints what a license file is worth; an error unless a runtime may act on it.
pub(super) fn verify(args: &VerifyArgs, output: &Output) -> Result<(), Failure> {
    let bytes = file::read(&args.file)?;
    let keys: Vec<VerifyingKey> = args
        .keys
        .iter()
        .map(|key| file::public_key(key))
        .collect::<Result<_, _>>()?;
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let held = Held {
        cnf: args.cnf,
        highest: args.highest,
        time_floor: args.floor,
        revocations: None,
    };
    let judged = judge(&bytes, &keys, now, &held);
    if output.is_json() {
        output.json(&to_json(&judged, now))?;
    } else {
        output.line(&clean(&to_text(&judged, now)))?;
    }
    let verdict = judged.map_or_else(|refused| refused.verdict, |verified| verified.verdict);
    if verdict.permits() {
        Ok(())
    } else {
        Err(Failure::Unverified(verdict.as_str()))
    }
}

fn to_json(judged: &Result<Verified, Refused>, now: Timestamp) -> Value {
    match judged {
        Err(refused) => json!({
            "verdict": refused.verdict,
            "detail": refused.detail,
            "permits": false,
            "judged_at": now,
        }),
        Ok(verified) => json!({
            "verdict": verified.verdict,
            "permits": verified.verdict.permits(),
            "judged_at": now,
            "until": verified.until,
            "checked": checked(verified),
            "not_checked": verified.checks_not_made,
            "license": {
                "license_id": verified.document.license,
                "install_id": verified.document.install,
                "tenant_id": verified.document.tenant,
                "tenant_status": verified.document.tenant_status,
                "runtime_id": verified.document.runtime,
                "kid": verified.document.kid,
                "cnf": hex::encode(verified.document.cnf),
                "epoch": verified.document.epoch,
                "seq": verified.document.seq,
                "issued": verified.document.issued,
                "expiry": verified.document.expiry,
                "grace_ms": verified.document.grace_ms,
                "revision": verified.document.revision,
                "entitlements": verified.document.entitlements.len(),
            },
        }),
    }
}

fn to_text(judged: &Result<Verified, Refused>, now: Timestamp) -> String {
    let verified = match judged {
        Err(refused) => return format!("{}\nwhy          {}", refused.verdict, refused.detail),
        Ok(verified) => verified,
    };
    let document = &verified.document;
    let mut lines = vec![
        verified.verdict.to_string(),
        format!(
            "tenant       {} ({})",
            document.tenant, document.tenant_status
        ),
        format!("runtime      {}", document.runtime),
        format!("issued by    {}, key {}", document.install, document.kid),
        format!("sequence     {}.{}", document.epoch, document.seq),
        format!("ends         {}", when(document.expiry, now)),
        format!("grace        {} after that", span(document.grace_ms)),
        format!("entitlements {}", document.entitlements.len()),
        format!("checked      {}", checked(verified).join(", ")),
    ];
    if !verified.checks_not_made.is_empty() {
        let checks: Vec<&str> = verified
            .checks_not_made
            .iter()
            .map(|one| advice(*one))
            .collect();
        lines.push(format!("not checked  {}", checks.join(", ")));
    }
    if verified.verdict == Verdict::InGrace {
        lines.push("its end has passed: the runtime must reach the kernel".to_owned());
    }
    lines.join("\n")
}

/// What a verdict rests on: form, signature and time always, the rest where it was given.
fn checked(verified: &Verified) -> Vec<&'static str> {
    let given = [
        (Check::Binding, "binding"),
        (Check::Sequence, "sequence"),
        (Check::Clock, "clock"),
        (Check::Revocation, "revocation"),
    ];
    let made = given
        .into_iter()
        .filter(|(check, _)| !verified.checks_not_made.contains(check));
    ["form", "signature", "time"]
        .into_iter()
        .chain(made.map(|(_, word)| word))
        .collect()
}

/// What would let a check be made.
const fn advice(check: Check) -> &'static str {
    match check {
        Check::Binding => "binding (--cnf)",
        Check::Sequence => "sequence (--highest)",
        Check::Clock => "clock (--floor)",
        Check::Revocation => "revocation (only a runtime holds the list)",
    }
}

fn binding(text: &str) -> Result<[u8; 32], String> {
    file::digest(text).ok_or_else(|| "64 hex digits".to_owned())
}

fn place(text: &str) -> Result<(u64, u64), String> {
    let parsed = text
        .split_once('.')
        .and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
    parsed.ok_or_else(|| "EPOCH.SEQ, as in 1.7".to_owned())
}

#[cfg(test)]
mod tests {
    use provost_certs::Ed25519Key;
    use provost_protocol::{
        InstallId, RuntimeId, TenantId,
        entity::{DeploymentMode, SecurityLevel, TenantStatus},
        license::{LicenseDocument, OfflinePolicies, RevocationTerms, license_id},
        sign::Signer as _,
    };

    use super::*;
    use crate::cli::{Exit, output::Format};

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

    fn document(issued: Timestamp) -> LicenseDocument {
        let tenant = TenantId::from_parts(issued, [1; 10]);
        let runtime = RuntimeId::from_parts(issued, [2; 10]);
        LicenseDocument {
            license: license_id(runtime, tenant),
            install: InstallId::from_parts(issued, [3; 10]),
            tenant,
            tenant_status: TenantStatus::Active,
            runtime,
            deployment_mode: DeploymentMode::OnPrem,
            kid: VerifyingKey::new([0; 32]).kid().clone(),
            cnf: [4; 32],
            epoch: 1,
            seq: 7,
            created: issued,
            issued,
            nbf: issued,
            expiry: issued.plus_millis(DAY_MS),
            grace_ms: DAY_MS,
            revocations: RevocationTerms {
                min_generation: 0,
                max_age_ms: None,
            },
            revision: 3,
            policies: OfflinePolicies {
                security_level: SecurityLevel::Standard,
                offline_max_ms: DAY_MS,
            },
            entitlements: Vec::new(),
        }
    }

    #[test]
    fn only_a_license_that_may_be_acted_on_ends_with_0() {
        let dir = tempfile::tempdir().unwrap();
        let key = Ed25519Key::create(&dir.path().join("key")).unwrap();
        let other = Ed25519Key::create(&dir.path().join("other")).unwrap();
        let issued: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let path = dir.path().join("license");
        std::fs::write(&path, document(issued).sign(&key).unwrap()).unwrap();
        let args = |days| VerifyArgs {
            file: path.clone(),
            keys: vec![hex::encode(key.public_key())],
            cnf: None,
            now: Some(issued.plus_millis(days * DAY_MS)),
            highest: None,
            floor: None,
        };
        let strange = VerifyArgs {
            keys: vec![hex::encode(other.public_key())],
            ..args(0)
        };
        let output = Output::new(Format::Json);
        for (args, verdict) in [
            (args(0), None),
            (args(1), None),
            (args(2), Some("EXPIRED")),
            (
                VerifyArgs {
                    cnf: Some([4; 32]),
                    ..args(0)
                },
                None,
            ),
            (
                VerifyArgs {
                    cnf: Some([5; 32]),
                    ..args(0)
                },
                Some("NOT_BOUND_TO_THIS_RUNTIME"),
            ),
            (
                VerifyArgs {
                    highest: Some((1, 8)),
                    ..args(0)
                },
                Some("SEQUENCE_ROLLBACK"),
            ),
            (
                VerifyArgs {
                    now: Some(issued.minus_millis(1)),
                    ..args(0)
                },
                Some("NOT_YET_VALID"),
            ),
            (strange, Some("KEY_UNKNOWN")),
        ] {
            let done = verify(&args, &output);
            let said = done.as_ref().err().map(ToString::to_string);
            assert_eq!(
                said,
                verdict.map(|word| format!("not verified: {word}")),
                "{args:?}"
            );
            assert!(
                done.err()
                    .is_none_or(|failure| failure.exit() == Exit::Unverified)
            );
        }
    }

    #[test]
    fn the_verdict_says_what_it_rests_on_and_what_not() {
        let dir = tempfile::tempdir().unwrap();
        let key = Ed25519Key::create(&dir.path().join("key")).unwrap();
        let issued: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let file = document(issued).sign(&key).unwrap();
        let keys = [VerifyingKey::new(key.public_key())];
        let held = Held {
            cnf: Some([4; 32]),
            ..Held::default()
        };
        let text = to_text(&judge(file.as_bytes(), &keys, issued, &held), issued);
        assert!(text.starts_with("VALID\n"), "{text}");
        assert!(
            text.contains("checked      form, signature, time, binding\n"),
            "{text}"
        );
        assert!(
            text.contains("not checked  sequence (--highest), clock (--floor)"),
            "{text}"
        );
        let decoded = super::file::decode(file.as_bytes()).unwrap();
        assert_eq!(decoded["meta"]["seq"], 7);
    }
}
