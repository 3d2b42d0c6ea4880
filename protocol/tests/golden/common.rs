//! Where the golden files are, and the ids and times that stand in them.

use std::{fs, path::PathBuf, str::FromStr};

use provost_protocol::Timestamp;

pub(crate) const TENANT: &str = "01935a2b-6c00-7a01-8c00-0000000000a1";
pub(crate) const INDIVIDUAL: &str = "01935a2b-6c00-7a01-8c00-0000000000a2";
pub(crate) const RUNTIME: &str = "01935a2b-6c00-7a02-8c00-0000000000b1";
pub(crate) const IDENTITY: &str = "01935a2b-6c00-7a03-8c00-0000000000c1";
pub(crate) const EVENT: &str = "01935a2b-6c00-7a04-8c00-0000000000d1";
pub(crate) const EVENT_BARE: &str = "01935a2b-6c00-7a04-8c00-0000000000d2";
pub(crate) const EVENT_OTHER: &str = "01935a2b-6c00-7a04-8c00-0000000000d3";
pub(crate) const CORRELATION: &str = "01935a2b-6c00-7a05-8c00-0000000000e1";
pub(crate) const REQUEST: &str = "01935a2b-6c00-7a06-8c00-0000000000f1";

/// The shape of a signed time; its signature is for the eye only.
pub(crate) const SIGNED_TIME: &str = "01935a2b-6c00-7a00-8c00-000000000001/time\n\
    2026-11-22T05:35:28.123Z\n\n\
    — 01935a2b-6c00-7a00-8c00-000000000001/time c2lnbmF0dXJl\n";

/// Reads an id.
pub(crate) fn id<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Reads a time.
pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The text of a file below `golden/`.
pub(crate) fn golden(name: &str) -> String {
    read(&path("golden").join(name))
}

/// The names of the files in a folder below `golden/`, sorted.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path("golden").join(folder)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// The text of a file below the workspace's `docs/`.
pub(crate) fn docs(name: &str) -> String {
    read(&path("../docs").join(name))
}

/// Compares a file (relative to this crate) with what it must hold; rewrites it when asked to.
pub(crate) fn compare(file: &str, text: &str) {
    let file = path(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&file, text).unwrap();
    }
    let stands = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        stands == text,
        "{} differs; UPDATE_GOLDEN=1 rewrites it if the change is meant. Now it would be:\n{text}",
        file.display()
    );
}

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(file: &PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
