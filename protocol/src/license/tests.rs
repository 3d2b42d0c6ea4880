//! Every verdict, golden files, and files that were tampered with.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    envelope::{self, Envelope},
    *,
};
use crate::{
    entity::{DeploymentMode, Feature, Limit, Mode, SecurityLevel, TenantStatus, TimeWindow},
    sign::{Signer, testing::TestSigner},
};

mod written;

const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const RUNTIME: &str = "01890a5d-ac96-774b-bcce-b302099a8059";
const GOLDEN: &str = include_str!("../../golden/license/standard.lic");
const GOLDEN_PAYLOAD: &str = include_str!("../../golden/license/standard.json");
const GOLDEN_KEY: &str = include_str!("../../golden/license/key.pub.hex");

const ISSUED: i64 = 1_795_325_728_000;
const HOUR: i64 = 3_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn signer() -> TestSigner {
    TestSigner::new(42)
}

fn keys() -> Vec<VerifyingKey> {
    vec![
        VerifyingKey::new(TestSigner::new(41).public_key()),
        VerifyingKey::new(signer().public_key()),
    ]
}

fn entitlement(feature: &str, limit: Limit) -> LicenseEntitlement {
    LicenseEntitlement {
        feature: Feature::parse(feature).unwrap(),
        runtime: None,
        limit,
        time_window: None,
        mode: Mode::Enforce,
        valid_until: Timestamp::MAX,
        created: at(ISSUED - 48 * HOUR),
        updated: at(ISSUED - 24 * HOUR),
        window: None,
    }
}

fn document() -> LicenseDocument {
    let (runtime, tenant) = (RUNTIME.parse().unwrap(), TENANT.parse().unwrap());
    LicenseDocument {
        license: license_id(runtime, tenant),
        install: INSTALL.parse().unwrap(),
        tenant,
        tenant_status: TenantStatus::Active,
        runtime,
        deployment_mode: DeploymentMode::OnPrem,
        kid: signer().key_id(),
        cnf: binding_of(&[3; 32]),
        epoch: 2,
        seq: 17,
        created: at(ISSUED - 48 * HOUR),
        issued: at(ISSUED),
        nbf: at(ISSUED - HOUR),
        expiry: at(ISSUED + 24 * HOUR),
        grace_ms: 72 * 3_600_000,
        revocations: RevocationTerms {
            min_generation: 5,
            max_age_ms: Some(48 * 3_600_000),
        },
        revision: 31,
        policies: OfflinePolicies {
            security_level: SecurityLevel::Standard,
            offline_max_ms: 96 * 3_600_000,
        },
        entitlements: vec![
            entitlement("course_access:cloud-fundamentals", Limit::Flag(true)),
            LicenseEntitlement {
                runtime: Some(runtime),
                time_window: Some(TimeWindow::Month),
                mode: Mode::Warn,
                window: Some((at(ISSUED - 100 * HOUR), at(ISSUED + 200 * HOUR))),
                ..entitlement("labs.minutes", Limit::Quota(600))
            },
            entitlement("labs.minutes", Limit::Unlimited),
        ],
    }
}

fn file() -> String {
    document().sign(&signer()).unwrap()
}

/// Everything held, and nothing of it against the license.
fn held() -> Held {
    let document = document();
    Held {
        cnf: Some(document.cnf),
        highest: Some((document.epoch, document.seq)),
        time_floor: Some(at(ISSUED)),
        revocations: Some(RevocationList {
            generation: 5,
            issued: at(ISSUED),
            licenses: BTreeSet::new(),
            runtimes: BTreeSet::new(),
        }),
    }
}

/// The one word `verify` says, whichever way.
fn verdict(file: &str, now: Timestamp, held: &Held) -> Verdict {
    match verify(file.as_bytes(), &keys(), now, held) {
        Ok(verified) => verified.verdict,
        Err(refused) => refused.verdict,
    }
}

/// Signs any bytes as if they were a payload.
fn armoured_by(payload: &[u8], signer: &dyn Signer) -> String {
    envelope::sign(payload, signer, &mut Vec::new())
}

/// Signs any JSON as if it were a payload.
fn signed(payload: &str) -> String {
    armoured_by(payload.as_bytes(), &signer())
}

/// The good payload with one member changed.
fn changed(pointer: &str, value: Value) -> String {
    let mut payload: Value = serde_json::from_slice(&document().to_payload()).unwrap();
    *payload.pointer_mut(pointer).unwrap() = value;
    signed(&payload.to_string())
}

/// A file around any envelope.
fn armoured(envelope: &str) -> String {
    let text = STANDARD.encode(envelope);
    format!("-----BEGIN LICENSE FILE-----\n{text}\n-----END LICENSE FILE-----\n")
}

#[test]
fn a_good_license_is_valid_and_says_what_was_put_in() {
    let verified = verify(file().as_bytes(), &keys(), at(ISSUED + 1), &held()).unwrap();
    assert_eq!(verified.verdict, Verdict::Valid);
    assert_eq!(verified.document, document());
    assert_eq!(verified.checks_not_made, []);
    assert_eq!(verified.until, Some(at(ISSUED + 24 * HOUR)));
}

#[test]
fn time_alone_moves_a_license_through_four_verdicts() {
    let end = ISSUED + 24 * HOUR;
    for (now, expected, until) in [
        (ISSUED - HOUR - 1, Verdict::NotYetValid, Some(ISSUED - HOUR)),
        (ISSUED - HOUR, Verdict::Valid, Some(end)),
        (end - 1, Verdict::Valid, Some(end)),
        (end, Verdict::InGrace, Some(end + 72 * HOUR)),
        (end + 72 * HOUR - 1, Verdict::InGrace, Some(end + 72 * HOUR)),
        (end + 72 * HOUR, Verdict::Expired, None),
    ] {
        let held = Held {
            time_floor: None,
            ..held()
        };
        let verified = verify(file().as_bytes(), &keys(), at(now), &held).unwrap();
        assert_eq!(
            (verified.verdict, verified.until),
            (expected, until.map(at)),
            "{now}"
        );
        assert_eq!(
            verified.verdict.permits(),
            expected != Verdict::NotYetValid && until.is_some()
        );
    }
}

#[test]
fn everything_that_is_held_can_refuse_a_genuine_license() {
    let good = held();
    let list = |licenses: &[LicenseId], runtimes: &[RuntimeId], generation| RevocationList {
        generation,
        issued: at(ISSUED),
        licenses: licenses.iter().copied().collect(),
        runtimes: runtimes.iter().copied().collect(),
    };
    let revoked = |list| Held {
        revocations: Some(list),
        ..held()
    };
    let (license, runtime) = (document().license, document().runtime);
    let skew = i64::try_from(CLOCK_SKEW_MS).unwrap();
    for (held, now, expected) in [
        (good.clone(), ISSUED, Verdict::Valid),
        (good.clone(), ISSUED - skew, Verdict::Valid),
        (good.clone(), ISSUED - skew - 1, Verdict::ClockRollback),
        (
            Held {
                cnf: Some([0; 32]),
                ..good.clone()
            },
            ISSUED,
            Verdict::NotBoundToThisRuntime,
        ),
        (
            Held {
                highest: Some((2, 18)),
                ..good.clone()
            },
            ISSUED,
            Verdict::SequenceRollback,
        ),
        (
            Held {
                highest: Some((3, 0)),
                ..good.clone()
            },
            ISSUED,
            Verdict::SequenceRollback,
        ),
        (
            Held {
                highest: Some((1, 99)),
                ..good.clone()
            },
            ISSUED,
            Verdict::Valid,
        ),
        // The floor is the time that counts: the clock, within the skew, does not bring it back.
        (
            Held {
                time_floor: Some(at(ISSUED + 24 * HOUR)),
                ..good
            },
            ISSUED + 24 * HOUR - 1,
            Verdict::InGrace,
        ),
        (revoked(list(&[license], &[], 5)), ISSUED, Verdict::Revoked),
        (revoked(list(&[], &[runtime], 5)), ISSUED, Verdict::Revoked),
        // Also by an old list, and also when time has ended it anyway.
        (
            revoked(list(&[license], &[], 1)),
            ISSUED + 999 * HOUR,
            Verdict::Revoked,
        ),
    ] {
        assert_eq!(
            verdict(&file(), at(now), &held),
            expected,
            "{held:?} at {now}"
        );
    }
}

#[test]
fn a_check_that_was_not_made_is_named() {
    let all = [
        Check::Binding,
        Check::Sequence,
        Check::Clock,
        Check::Revocation,
    ];
    let missed = |held: &Held, now| {
        verify(file().as_bytes(), &keys(), at(now), held)
            .unwrap()
            .checks_not_made
    };
    assert_eq!(missed(&Held::default(), ISSUED), all);
    assert_eq!(
        missed(
            &Held {
                cnf: None,
                ..held()
            },
            ISSUED
        ),
        [Check::Binding]
    );
    let mut old = held();
    old.revocations.as_mut().unwrap().generation = 4;
    assert_eq!(missed(&old, ISSUED), [Check::Revocation]);
    assert_eq!(missed(&held(), ISSUED + 48 * HOUR), []);
    assert_eq!(missed(&held(), ISSUED + 48 * HOUR + 1), [Check::Revocation]);
}

#[test]
fn a_key_that_is_not_held_is_told_from_a_signature_that_does_not_hold() {
    let stranger = document().sign(&TestSigner::new(99)).unwrap();
    assert_eq!(verdict(&stranger, at(ISSUED), &held()), Verdict::KeyUnknown);
    // In the name of a key that is held.
    let payload = document().to_payload();
    let forged = armoured_by(&payload, &TestSigner::new(99));
    assert_eq!(
        verdict(&forged, at(ISSUED), &held()),
        Verdict::SignatureInvalid
    );
    // Signed by one key that is held in the name of another.
    let crossed = armoured_by(&payload, &TestSigner::new(41));
    assert_eq!(
        verdict(&crossed, at(ISSUED), &held()),
        Verdict::SignatureInvalid
    );
    let none = verify(file().as_bytes(), &[], at(ISSUED), &held()).unwrap_err();
    assert_eq!(none.verdict, Verdict::KeyUnknown);
}

#[test]
fn what_is_signed_but_not_a_license_is_malformed() {
    let payload = String::from_utf8(document().to_payload()).unwrap();
    assert_eq!(
        verdict(&signed(&payload), at(ISSUED), &held()),
        Verdict::Valid
    );
    for (what, file) in [
        (
            "a key twice",
            signed(&payload.replacen("\"meta\":{", "\"meta\":{\"seq\":1,", 1)),
        ),
        ("not an object", signed("[]")),
        ("no JSON", signed("{")),
        ("another type", changed("/data/type", json!("machines"))),
        ("a short cnf", changed("/meta/cnf", json!("00"))),
        (
            "ends before it begins",
            changed("/meta/expiry", json!("2020-01-01T00:00:00Z")),
        ),
        ("a negative seq", changed("/meta/seq", json!(-1))),
        (
            "an id of version 4",
            changed("/data/id", json!("5a4e1c9e-1b2c-4d6f-8a7b-000000000001")),
        ),
        (
            "an unknown status",
            changed("/data/attributes/status", json!("BANNED")),
        ),
        (
            "a bad feature",
            changed("/included/0/attributes/code", json!("a b")),
        ),
        (
            "a huge quota",
            changed("/included/1/attributes/limit/quota", json!(1_u64 << 53)),
        ),
        (
            "an unknown limit",
            changed("/included/0/attributes/limit", json!({"most": 1})),
        ),
        (
            "an entitlement twice",
            changed("/included/0/attributes/code", json!("labs.minutes")),
        ),
        (
            "an unknown critical field",
            signed(&critical(&["nbf", "moon_phase"])),
        ),
    ] {
        let refused = verify(file.as_bytes(), &keys(), at(ISSUED), &held());
        assert_eq!(refused.unwrap_err().verdict, Verdict::Malformed, "{what}");
    }
}

/// The good payload with a list of critical fields.
fn critical(names: &[&str]) -> String {
    let mut payload: Value = serde_json::from_slice(&document().to_payload()).unwrap();
    payload["meta"]["crit"] = json!(names);
    payload.to_string()
}

#[test]
fn a_later_kernel_may_say_more_as_long_as_it_is_not_critical() {
    let mut payload: Value = serde_json::from_str(&critical(&["cnf", "grace"])).unwrap();
    payload["meta"]["moon_phase"] = json!("full");
    payload["data"]["attributes"]["more"] = json!([1]);
    let packages = json!({"type": "packages", "id": "x", "attributes": {}});
    payload["included"].as_array_mut().unwrap().push(packages);
    let file = signed(&payload.to_string());
    let verified = verify(file.as_bytes(), &keys(), at(ISSUED), &held()).unwrap();
    assert_eq!(verified.document, document());
}

#[test]
fn an_envelope_of_another_form_is_malformed() {
    let json = serde_json::to_value(Envelope::from_file(file().as_bytes()).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut json = json.clone();
        json[key] = value;
        armoured(&json.to_string())
    };
    let enc = json["enc"].as_str().unwrap();
    let sig = json["sig"].as_str().unwrap();
    assert_eq!(
        verdict(&armoured(&json.to_string()), at(ISSUED), &held()),
        Verdict::Valid
    );
    for file in [
        with("alg", json!("none")),
        with("alg", json!("BASE64+ED25519")),
        with("alg", json!("aes-256-gcm+ed25519")),
        with("kid", json!("x")),
        with("sig", json!("")),
        with("sig", json!(sig.trim_end_matches('='))),
        with("enc", json!(format!("{enc}\n"))),
        armoured(&json.to_string().replacen('{', r#"{"alg":"none","#, 1)),
        armoured("{}"),
        file().replace("BEGIN LICENSE", "BEGIN MACHINE"),
        file().replace("=\n-----END", "\n-----END"),
        " ".repeat(LICENSE_BYTES_MAX) + &file(),
        String::new(),
    ] {
        let found = verdict(&file, at(ISSUED), &held());
        let empty_signature = found == Verdict::SignatureInvalid && file == with("sig", json!(""));
        assert!(
            found == Verdict::Malformed || empty_signature,
            "{found} {file}"
        );
    }
}

#[test]
fn lines_may_be_of_any_length_and_end_as_windows_ends_them() {
    let one = file();
    assert!(one.lines().all(|line| line.len() <= 64));
    let long =
        armoured(&serde_json::to_string(&Envelope::from_file(one.as_bytes()).unwrap()).unwrap());
    for file in [one.replace('\n', "\r\n"), format!("\n\n{one}\n"), long] {
        assert_eq!(verdict(&file, at(ISSUED), &held()), Verdict::Valid);
    }
}

#[test]
fn the_golden_license_of_a_fixed_key_does_not_change() {
    assert_eq!(hex::encode(signer().public_key()), GOLDEN_KEY.trim_end());
    assert_eq!(
        String::from_utf8(document().to_payload()).unwrap(),
        GOLDEN_PAYLOAD.trim_end()
    );
    assert_eq!(file(), GOLDEN);
    let verified = verify(GOLDEN.as_bytes(), &keys(), at(ISSUED), &held()).unwrap();
    assert_eq!(
        (verified.verdict, verified.document),
        (Verdict::Valid, document())
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = file();
    for length in 0..file.trim_end().len() {
        let refused = verify(&file.as_bytes()[..length], &keys(), at(ISSUED), &held());
        assert_eq!(refused.unwrap_err().verdict, Verdict::Malformed, "{length}");
    }
}

proptest! {
    #[test]
    fn no_single_bit_of_a_file_changes_what_it_says(at_byte in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = file().into_bytes();
        let at_byte = at_byte.index(bytes.len());
        bytes[at_byte] ^= 1 << bit;
        if let Ok(verified) = verify(&bytes, &keys(), at(ISSUED), &held()) {
            // Only the newline after the text may become another white space.
            prop_assert_eq!(verified.document, document());
            prop_assert_eq!(at_byte + 1, bytes.len());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&bytes, &keys(), at(ISSUED), &held()).is_err());
        let inside = armoured(&String::from_utf8_lossy(&bytes));
        prop_assert!(verify(inside.as_bytes(), &keys(), at(ISSUED), &held()).is_err());
        let payload = armoured_by(&bytes, &signer());
        prop_assert!(verify(payload.as_bytes(), &keys(), at(ISSUED), &held()).is_err());
    }

    #[test]
    fn any_times_and_holdings_get_a_verdict(now in any::<i64>(), floor in any::<i64>(), epoch in any::<u64>()) {
        let held = Held { time_floor: Some(at(floor)), highest: Some((epoch, 0)), ..held() };
        let verdict = verdict(&file(), at(now), &held);
        prop_assert!(verdict != Verdict::Malformed && verdict != Verdict::SignatureInvalid);
    }
}
