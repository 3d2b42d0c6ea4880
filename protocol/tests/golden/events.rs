//! Every event kind as it stands on disk, byte for byte, written by hand.

use provost_protocol::{envelope::Envelope, event::Event};
use serde_json::Value;

use crate::common;

fn file(kind: &str, version: u16) -> String {
    format!("{kind}.v{version}.json")
}

/// The one line of a golden event, without the line's end.
fn line(kind: &str, version: u16) -> String {
    let text = common::golden(&format!("events/{}", file(kind, version)));
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{kind}: one line");
    line.to_owned()
}

#[test]
fn every_kind_has_one_file_and_every_file_one_kind() {
    let mut kinds: Vec<String> = Event::KINDS
        .iter()
        .map(|(kind, version)| file(kind, *version))
        .collect();
    kinds.sort_unstable();
    assert_eq!(common::names("events"), kinds);
}

#[test]
fn every_stored_event_is_read_and_written_again_to_the_same_bytes() {
    for (kind, version) in Event::KINDS {
        let line = line(kind, *version);
        let envelope =
            Envelope::from_bytes(line.as_bytes()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(
            (envelope.event.kind(), envelope.event.version()),
            (*kind, *version)
        );
        let written = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
        assert_eq!(written, line, "{kind}");
    }
}

#[test]
fn every_stored_event_needs_every_field_of_its_data_that_is_not_null() {
    for (kind, version) in Event::KINDS {
        let stored: Value = serde_json::from_str(&line(kind, *version)).unwrap();
        let data = stored["data"].as_object().unwrap();
        for field in data.keys() {
            let mut without = data.clone();
            without.remove(field);
            let text = Value::Object(without).to_string();
            // An absent optional field reads as none; another event must come of it at least.
            let same = Event::from_data(kind, *version, &text)
                == Event::from_data(kind, *version, &Value::Object(data.clone()).to_string());
            assert_eq!(same, data[field].is_null(), "{kind} without {field}");
        }
    }
}

#[test]
fn an_event_of_a_newer_build_is_named_and_not_guessed() {
    let (kind, version) = Event::KINDS[0];
    let newer = line(kind, version).replace(r#""kind_version":1"#, r#""kind_version":2"#);
    let error = Envelope::from_bytes(newer.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown event kind tenant.created version 2"
    );
}

#[test]
fn every_kind_is_documented_with_its_version_and_every_field() {
    let page = common::docs("events.md");
    for (kind, version) in Event::KINDS {
        let start = format!("| `{kind}` | {version} | ");
        let row = page
            .lines()
            .find(|row| row.starts_with(&start))
            .unwrap_or_else(|| panic!("docs/events.md lacks a row that begins with {start}"));
        let stored: Value = serde_json::from_str(&line(kind, *version)).unwrap();
        for field in stored["data"].as_object().unwrap().keys() {
            assert!(
                row.contains(&format!("`{field}`")),
                "{kind}: {field} is not documented"
            );
        }
    }
}
