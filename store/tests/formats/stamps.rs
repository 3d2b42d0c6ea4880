//! Today's formats are those of the newest fixture: whoever changes one adds a fixture first.
//!
//! What a build writes is read here as bytes, so that no constant can change unseen. A new format
//! gets a new folder: `cargo run -p provost-store --example fixture -- tests/formats/fixtures/vN`,
//! and the older folders stay for ever.

use std::{collections::BTreeMap, fs, path::Path};

use provost_store::Store;
use serde_json::Value;

use crate::{
    answers::options,
    fixture::Fixture,
    written::{self, SEGMENT_BYTES},
};

#[test]
fn what_is_written_today_has_the_formats_of_the_newest_fixture() {
    for (name, write) in [
        ("store", written::store as fn(&Path)),
        ("spool", written::spool),
    ] {
        let newest = Fixture::all(name).pop().unwrap();
        let (then, today) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        newest.unpack(then.path());
        write(today.path());
        assert_eq!(
            stamps(today.path()),
            stamps(then.path()),
            "a format of the {name} has changed since {}: add a fixture (see this file's head)",
            newest.version
        );
    }
}

#[test]
fn the_state_of_the_newest_fixture_is_used_as_it_is() {
    let newest = Fixture::all("store").pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    newest.unpack(folder.path());
    let (_store, opened) = Store::open(folder.path(), options(SEGMENT_BYTES)).unwrap();
    assert_eq!(
        (opened.rebuilt, opened.indexes_rebuilt, opened.replayed),
        (None, 0, 0),
        "the state or the indexes have a format that {} does not show: add a fixture",
        newest.version
    );
}

/// The format of each kind of file in a folder, as its first bytes say it.
fn stamps(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("state") || path.ends_with("LOCK") {
            // sled's own files; what is ours in them is tried by opening it.
            continue;
        }
        if path.is_dir() {
            found.extend(stamps(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match &*extension {
            // Magic, version and flags of the file and of its first group.
            "seg" => {
                found.insert("segment".to_owned(), hex::encode(&bytes[..12]));
                found.insert("group".to_owned(), hex::encode(&bytes[64..72]));
            }
            "marker" => {
                let Value::Object(marker) = serde_json::from_slice(&bytes).unwrap() else {
                    panic!("the marker is no object")
                };
                found.extend(
                    marker
                        .keys()
                        .map(|key| (format!("marker.{key}"), "there".to_owned())),
                );
                found.insert("marker.phase".to_owned(), marker["phase"].to_string());
            }
            // Every other file of ours begins with eight bytes of magic that name the version.
            _ => {
                found.insert(extension.into_owned(), hex::encode(&bytes[..8]));
            }
        }
    }
    found
}
