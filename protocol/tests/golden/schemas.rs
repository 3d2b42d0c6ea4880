//! The JSON Schemas of `docs/events/`: written by hand, one for each kind and one for the envelope,
//! and held to what the code really writes and reads.

use std::{collections::BTreeMap, fs};

use provost_protocol::{entity::RuntimeType, event::Event};
use serde_json::{Map, Value, json};

use crate::common;

#[test]
fn every_kind_has_one_schema_and_every_schema_one_kind() {
    let mut expected: Vec<String> = Event::KINDS
        .iter()
        .map(|(kind, version)| format!("{kind}.v{version}.json"))
        .collect();
    expected.push("envelope.v1.json".to_owned());
    expected.sort_unstable();
    assert_eq!(schemas().into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn every_schema_is_one_of_draft_2020_12_with_a_sentence_for_each_field() {
    for (name, schema) in schemas() {
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schema["description"].is_string(), "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (field, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}: {field}");
        }
    }
}

#[test]
fn every_golden_event_is_valid_by_its_schemas() {
    let envelope = validator(&schemas()["envelope.v1.json"]);
    for Golden { name, line, schema } in golden() {
        for (validator, value) in [(&envelope, &line), (&validator(&schema), &line["data"])] {
            let errors: Vec<String> = validator
                .iter_errors(value)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }
}

#[test]
fn an_event_without_a_field_or_with_a_strange_one_is_not_valid() {
    let envelope = validator(&schemas()["envelope.v1.json"]);
    for Golden { name, line, schema } in golden() {
        let validator = validator(&schema);
        refuses_other_fields(&name, &validator, line["data"].as_object().unwrap());
        let mut whole = line.as_object().unwrap().clone();
        whole.remove("idempotency");
        refuses_other_fields(&name, &envelope, &whole);
    }
}

/// A schema never promises a value that the code could not read.
#[test]
fn what_a_schema_allows_is_read_and_what_is_no_word_of_it_is_refused() {
    for Golden { name, line, schema } in golden() {
        let (kind, version) = (line["kind"].as_str().unwrap(), version(&line));
        let validator = validator(&schema);
        for (field, property) in schema["properties"].as_object().unwrap() {
            let mut accepted = 0;
            for value in values(property) {
                let mut data = line["data"].clone();
                data[field] = value.clone();
                let read = Event::from_data(kind, version, &data.to_string());
                if validator.is_valid(&data) {
                    accepted += 1;
                    assert!(read.is_ok(), "{name}: {field} = {value}: {read:?}");
                }
            }
            assert!(accepted < values(property).len(), "{name}: {field}");
        }
    }
}

#[test]
fn every_word_the_code_reads_stands_in_the_schema() {
    for Golden { name, line, schema } in golden() {
        let (kind, version) = (line["kind"].as_str().unwrap(), version(&line));
        let validator = validator(&schema);
        for (field, property) in schema["properties"].as_object().unwrap() {
            let allowed = property["enum"].as_array().into_iter().flatten();
            let words: Vec<&Value> = allowed.collect();
            let types = RuntimeType::ALL.iter().map(|word| json!(word.as_str()));
            let words_tried = WORDS.iter().map(|word| json!(word)).chain(types);
            for word in words_tried.chain([Value::Null]) {
                let mut data = line["data"].clone();
                data[field] = word.clone();
                let no_words = words.is_empty() && word != Value::Null;
                // A sender's own JSON, carried and not read.
                let carried = property["type"] == "object" && property["properties"].is_null();
                if no_words || carried {
                    continue;
                }
                let read = Event::from_data(kind, version, &data.to_string()).is_ok();
                assert_eq!(read, validator.is_valid(&data), "{name}: {field} = {word}");
            }
        }
    }
}

#[test]
fn the_page_of_events_links_to_every_schema() {
    let page = common::docs("events.md");
    for name in schemas().keys() {
        let row = page
            .lines()
            .find(|line| line.contains(&format!("(events/{name})")));
        assert!(row.is_some(), "docs/events.md does not link events/{name}");
    }
}

/// One golden event and the schema of its data.
struct Golden {
    name: String,
    line: Value,
    schema: Value,
}

fn golden() -> Vec<Golden> {
    let schemas = schemas();
    let names = common::names("events");
    assert!(!names.is_empty());
    let of = |name: String| Golden {
        line: serde_json::from_str(&common::golden(&format!("events/{name}"))).unwrap(),
        schema: schemas[&name].clone(),
        name,
    };
    names.into_iter().map(of).collect()
}

fn schemas() -> BTreeMap<String, Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events");
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let names = entries.map(|entry| name(entry).into_string().unwrap());
    names
        .map(|name| {
            let text = common::docs(&format!("events/{name}"));
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

fn version(line: &Value) -> u16 {
    u16::try_from(line["kind_version"].as_u64().unwrap()).unwrap()
}

fn refuses_other_fields(name: &str, validator: &jsonschema::Validator, data: &Map<String, Value>) {
    assert!(validator.is_valid(&Value::Object(data.clone())), "{name}");
    for field in data.keys() {
        let mut without = data.clone();
        without.remove(field);
        assert!(
            !validator.is_valid(&Value::Object(without)),
            "{name} without {field}"
        );
    }
    let mut with = data.clone();
    with.insert("no_such_field".to_owned(), json!(1));
    assert!(!validator.is_valid(&Value::Object(with)), "{name}");
}

/// Values of every type, the words of the field among them; no field takes them all.
fn values(property: &Value) -> Vec<Value> {
    let words = property["enum"].as_array().cloned().unwrap_or_default();
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1.5),
        json!("no such word"),
        json!(""),
        json!([]),
        json!([1]),
        json!({}),
        json!({"flag": false}),
        json!({"quota": 5}),
        json!("unlimited"),
        json!("PT15M"),
        json!("x.y:z"),
        json!("2026-11-22T05:35:28.123Z"),
        json!("01935a2b-6c00-7a01-8c00-0000000000a1"),
        json!("01935a2b-6c00-4a01-8c00-0000000000a1"),
        json!("ab".repeat(32)),
    ];
    values.extend(words);
    values
}

/// Every word that some field of some kind may hold, types of runtimes apart.
const WORDS: &[&str] = &[
    "active",
    "admin",
    "app",
    "auditor",
    "azure_ad",
    "ca",
    "checkpoint",
    "company",
    "custom",
    "dedicated",
    "degraded",
    "enforce",
    "enterprise",
    "google",
    "healthy",
    "individual",
    "internal",
    "license",
    "local",
    "oidc",
    "on_prem",
    "saml",
    "shadow",
    "shared",
    "standard",
    "super_admin",
    "suspended",
    "v0.1",
    "v0.2",
    "v0.3",
    "warn",
];
