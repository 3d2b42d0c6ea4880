//! The `OpenAPI` document: as committed, and holding the hand-written bodies.

use provost_protocol::openapi;
use serde_json::{Value, json};

use crate::common;

#[test]
fn the_committed_document_is_the_one_the_code_describes() {
    let text = openapi::document().to_pretty_json().unwrap() + "\n";
    common::compare("../docs/openapi.json", &text);
}

#[test]
fn every_golden_body_is_valid_by_its_schema() {
    let document = committed();
    for name in common::names("v0.1") {
        let body: Value = serde_json::from_str(&common::golden(&format!("v0.1/{name}"))).unwrap();
        let validator = validator(&document, schema_of(&name));
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn a_golden_body_without_a_promised_field_is_not_valid() {
    let document = committed();
    for name in common::names("v0.1") {
        let text = common::golden(&format!("v0.1/{name}"));
        let whole: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let validator = validator(&document, schema_of(&name));
        for field in whole
            .keys()
            .filter(|field| !OPTIONAL.contains(&field.as_str()))
        {
            let mut without = whole.clone();
            without.remove(field);
            assert!(
                !validator.is_valid(&Value::Object(without)),
                "{name} without {field}"
            );
        }
    }
}

#[test]
fn a_body_with_a_word_outside_the_contract_is_not_valid() {
    let document = committed();
    for (name, pointer) in [
        ("register.request.json", "/runtime_type"),
        ("register.request.json", "/tenant_id"),
        ("heartbeat.answer.json", "/status"),
        ("check.flag.answer.json", "/reason"),
        ("resolve.answer.json", "/entitlements/0/valid_until"),
        ("audit.request.json", "/event/actor_type"),
        ("audit.request.json", "/event/payload"),
        ("problem.overloaded.answer.json", "/code"),
    ] {
        let text = common::golden(&format!("v0.1/{name}"));
        let mut body: Value = serde_json::from_str(&text).unwrap();
        *body.pointer_mut(pointer).unwrap() = json!("no such word");
        assert!(
            !validator(&document, schema_of(name)).is_valid(&body),
            "{name} {pointer}"
        );
    }
}

#[test]
fn every_call_names_its_headers_its_proofs_and_its_refusals() {
    let document = committed();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        let call = &item["post"];
        let register = path.ends_with("/register");
        let headers: Vec<&str> = call["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "header" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let expected: &[&str] = if register {
            &["X-Tenant-Id", "X-Contract-Version"]
        } else {
            &["X-Tenant-Id", "X-Runtime-Id", "X-Contract-Version"]
        };
        assert_eq!(headers, expected, "{path}");
        let proofs = call["security"][0].as_object().unwrap();
        assert!(proofs.contains_key("runtime_certificate"), "{path}");
        assert_eq!(proofs.contains_key("runtime_token"), !register, "{path}");
        for status in ["400", "401", "404", "413", "422", "429", "503"] {
            let content = &call["responses"][status]["content"];
            assert!(
                content.get("application/problem+json").is_some(),
                "{path} {status}"
            );
        }
    }
    assert_eq!(document["paths"].as_object().unwrap().len(), 5);
}

fn committed() -> Value {
    serde_json::from_str(&common::docs("openapi.json")).unwrap()
}

/// Reads the components as one JSON Schema of draft 2020-12, entered at one type.
fn validator(document: &Value, name: &str) -> jsonschema::Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": document["components"],
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// The schema of a file named `<call>[.<variant>].<request|answer>.json`.
fn schema_of(file: &str) -> &'static str {
    let request = file.ends_with(".request.json");
    match (file.split('.').next().unwrap(), request) {
        ("register", true) => "RegisterRequest",
        ("register", false) => "RegisterAnswer",
        ("heartbeat", true) => "HeartbeatRequest",
        ("heartbeat", false) => "HeartbeatAnswer",
        ("resolve", true) => "ResolveRequest",
        ("resolve", false) => "ResolveAnswer",
        ("check", true) => "CheckRequest",
        ("check", false) => "CheckAnswer",
        ("audit", true) => "AuditRequest",
        ("audit", false) if file.contains(".array.") => "AuditAcceptedBatch",
        ("audit", false) => "AuditAccepted",
        ("problem", false) => "Problem",
        other => panic!("no schema for {other:?}"),
    }
}

/// Fields that the contract lets a body leave out.
const OPTIONAL: &[&str] = &[
    "metrics",
    "context",
    "limits",
    "correlation_id",
    "retry_after_ms",
];
