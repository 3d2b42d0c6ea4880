//! What a license says when it is written.

use super::*;
use crate::sign::KeyId;

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

/// A license spelled out as the contract has it: slow, and by nothing that the writer uses.
fn spelled(document: &LicenseDocument, signer: &dyn Signer) -> String {
    let enc = STANDARD.encode(spelled_payload(document, &signer.key_id()));
    let sig = STANDARD.encode(signer.sign(format!("license/{enc}").as_bytes()));
    let envelope = format!(r#"{{"enc":"{enc}","sig":"{sig}","alg":"base64+ed25519"}}"#);
    let text = STANDARD.encode(envelope);
    let mut file = "-----BEGIN LICENSE FILE-----".to_owned();
    for (number, letter) in text.chars().enumerate() {
        if number % 64 == 0 {
            file.push('\n');
        }
        file.push(letter);
    }
    file + "\n-----END LICENSE FILE-----\n"
}

fn spelled_payload(of: &LicenseDocument, kid: &KeyId) -> String {
    let ttl = of.expiry.millis_since(of.issued) / 1_000;
    let max_age = of.revocations.max_age_ms.map(|age| age / 1_000);
    let max_age = max_age.map_or("null".to_owned(), |age| age.to_string());
    let meta = [
        format!(
            r#"{{"issued":"{}","expiry":"{}","ttl":{ttl}"#,
            of.issued, of.expiry
        ),
        format!(
            r#","kid":"{kid}","iss":"{}","epoch":{}"#,
            of.install, of.epoch
        ),
        format!(
            r#","seq":{},"nbf":"{}","cnf":"{}""#,
            of.seq,
            of.nbf,
            hex::encode(of.cnf)
        ),
        format!(r#","grace":{},"revocations":{{"#, of.grace_ms / 1_000),
        format!(r#""min_generation":{}"#, of.revocations.min_generation),
        format!(r#","max_age":{max_age}}}}}"#),
    ];
    let (license, tenant, runtime) = (of.license, of.tenant, of.runtime);
    let data = [
        format!(r#"{{"type":"licenses","id":"{license}","attributes":{{"key":"{license}""#),
        format!(r#","status":"ACTIVE","expiry":"{}""#, of.expiry),
        format!(r#","created":"{}","updated":"{}""#, of.created, of.issued),
        format!(r#","tenant":"{tenant}","runtime":"{runtime}""#),
        format!(r#","deployment_mode":"{}""#, of.deployment_mode),
        format!(r#","revision":{},"policies":{{"#, of.revision),
        format!(r#""security_level":"{}""#, of.policies.security_level),
        format!(r#","offline_max_ms":{}}}}},"#, of.policies.offline_max_ms),
        format!(r#""relationships":{{"account":{{"data":{{"type":"accounts","id":"{tenant}"}}}}"#),
        format!(r#","runtime":{{"data":{{"type":"runtimes","id":"{runtime}"}}}}}}}}"#),
    ];
    let included: Vec<String> = of.entitlements.iter().map(spelled_entitlement).collect();
    let (meta, data, included) = (meta.concat(), data.concat(), included.join(","));
    format!(r#"{{"meta":{meta},"data":{data},"included":[{included}]}}"#)
}

fn spelled_entitlement(of: &LicenseEntitlement) -> String {
    let code = &of.feature;
    let at = of.runtime.map_or(String::new(), |id| format!("@{id}"));
    let limit = match of.limit {
        Limit::Flag(is) => format!(r#"{{"flag":{is}}}"#),
        Limit::Quota(units) => format!(r#"{{"quota":{units}}}"#),
        Limit::Unlimited => r#""unlimited""#.to_owned(),
    };
    let named = |name, value: Option<String>| {
        value.map_or(String::new(), |value| format!(r#","{name}":{value}"#))
    };
    let window = of
        .window
        .map(|(start, end)| format!(r#"{{"start":"{start}","end":"{end}"}}"#));
    [
        format!(r#"{{"type":"entitlements","id":"{code}{at}","attributes":{{"name":"{code}""#),
        format!(r#","code":"{code}","created":"{}""#, of.created),
        format!(r#","updated":"{}","limit":{limit}"#, of.updated),
        named(
            "time_window",
            of.time_window.map(|kind| format!("\"{kind}\"")),
        ),
        format!(
            r#","mode":"{}","valid_until":"{}""#,
            of.mode, of.valid_until
        ),
        named("runtime", of.runtime.map(|id| format!("\"{id}\""))),
        named("window", window),
        r#"},"relationships":{}}"#.to_owned(),
    ]
    .concat()
}

fn any_entitlement() -> impl Strategy<Value = LicenseEntitlement> {
    let time = || (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis()).prop_map(at);
    let limit = prop_oneof![
        any::<bool>().prop_map(Limit::Flag),
        (0..1_u64 << 53).prop_map(Limit::Quota),
        Just(Limit::Unlimited),
    ];
    let time_window = prop_oneof![
        Just(TimeWindow::Hour),
        Just(TimeWindow::Month),
        (1..100_000_u32).prop_map(|minutes| TimeWindow::Rolling { minutes }),
    ];
    let words = (
        "[a-zA-Z0-9_-]{1,40}(\\.[a-z]{1,9})?(:[a-z./_-]{1,40})?",
        any::<bool>(),
        prop::sample::select(Mode::ALL),
    );
    let counted = (limit, prop::option::of(time_window));
    let times = (time(), time(), time(), prop::option::of((time(), time())));
    (words, counted, times).prop_map(|((feature, own, mode), (limit, time_window), times)| {
        LicenseEntitlement {
            runtime: own.then(|| RUNTIME.parse().unwrap()),
            time_window,
            mode,
            created: times.0,
            updated: times.1,
            valid_until: times.2,
            window: times.3,
            ..entitlement(&feature, limit)
        }
    })
}

proptest! {
    #[test]
    fn a_license_is_written_to_the_byte_as_the_contract_has_it(
        entitlements in prop::collection::vec(any_entitlement(), 0..40),
        max_age_ms in prop::option::of(any::<u64>()),
    ) {
        let mut document = LicenseDocument { entitlements, ..document() };
        document.revocations.max_age_ms = max_age_ms;
        let file = document.sign(&signer()).unwrap();
        prop_assert_eq!(file, spelled(&document, &signer()));
    }
}
