//! Whether every byte of a data folder's journal and indexes is what was written.

use std::path::Path;

use provost_store::{VerifyError, VerifyReport, verify as check};
use serde_json::{Value, json};

use super::Verdict;
use crate::cli::{
    exit::Failure,
    meter::{Meter, Unit},
    output::{Output, told},
};

/// Reads all of it, beside a running kernel or without one; takes no lock and changes nothing.
pub(super) fn verify(folder: &Path, output: &Output) -> Result<Verdict, Failure> {
    let mut meter = Meter::new(output);
    let checked = check(folder, &mut |progress| {
        let far = (progress.done, progress.segments);
        meter.at("verifying", Unit::Segments, far);
    });
    drop(meter);
    let unreadable =
        |error: VerifyError| Failure::Usage(format!("{}: {}", folder.display(), told(&error)));
    let report = checked.map_err(unreadable)?;
    let holds = report.findings.is_empty();
    Ok(Verdict {
        refused: (!holds).then_some("the data folder"),
        text: to_text(&report),
        json: to_json(&report),
    })
}

fn to_text(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    if report.findings.is_empty() {
        lines.push("VERIFIED".to_owned());
    } else {
        lines.push("NOT VERIFIED".to_owned());
        lines.extend(report.findings.iter().map(ToString::to_string));
    }
    lines.push(format!(
        "journal  {} segments, {} bytes, {} events of {} tenants",
        report.segments,
        report.bytes,
        report.events,
        report.tenants.len(),
    ));
    let missing = match report.indexes_missing {
        0 => String::new(),
        count => format!("; {count} missing, which the next start builds"),
    };
    lines.push(format!("indexes  {}{missing}", report.indexes));
    lines.join("\n")
}

fn to_json(report: &VerifyReport) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|found| {
            json!({
                "file": found.file,
                "offset": found.offset,
                "tenants": found.tenants,
                "why": found.why,
            })
        })
        .collect();
    let tenants: Vec<Value> = report
        .tenants
        .iter()
        .map(|(tenant, (size, root))| {
            json!({"tenant_id": tenant, "size": size, "root": hex::encode(root)})
        })
        .collect();
    json!({
        "verified": report.findings.is_empty(),
        "segments": report.segments,
        "bytes": report.bytes,
        "events": report.events,
        "indexes": report.indexes,
        "indexes_missing": report.indexes_missing,
        "findings": findings,
        "tenants": tenants,
    })
}
