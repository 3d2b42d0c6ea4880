//! What a license says when it is written.

use super::*;

#[test]
fn spans_are_written_in_whole_seconds_rounded_down() {
    let mut document = document();
    document.grace_ms = 1_999;
    document.revocations.max_age_ms = None;
    let file = document.sign(&signer()).unwrap();
    let read = verify(file.as_bytes(), &keys(), at(ISSUED), &held())
        .unwrap()
        .document;
    assert_eq!((read.grace_ms, read.revocations.max_age_ms), (1_000, None));
}

#[test]
fn a_license_that_no_verifier_would_read_is_not_signed() {
    let mut document = document();
    let fill = |count: u32| {
        let make = |n| LicenseEntitlement {
            time_window: Some(TimeWindow::Month),
            window: Some((at(ISSUED), at(ISSUED + HOUR))),
            ..entitlement(&format!("course_access:course-{n}"), Limit::Quota(100))
        };
        (0..count).map(make).collect()
    };
    document.entitlements = fill(330);
    let file = document.sign(&signer()).unwrap();
    assert_eq!(verdict(&file, at(ISSUED), &held()), Verdict::Valid);
    document.entitlements = fill(1_000);
    assert!(document.sign(&signer()).unwrap_err().bytes > LICENSE_BYTES_MAX);
}

#[test]
fn the_name_of_a_license_follows_from_runtime_and_tenant() {
    let document = document();
    assert_eq!(
        document.license.to_string(),
        "01890a5d-ac96-7715-9032-1f5bbc22a02a"
    );
    assert_ne!(
        document.license,
        license_id(document.runtime, INSTALL.parse().unwrap())
    );
}

#[test]
fn every_verdict_is_written_as_the_contract_writes_it() {
    for verdict in Verdict::ALL {
        assert_eq!(
            serde_json::to_string(verdict).unwrap(),
            format!("\"{verdict}\"")
        );
    }
}
