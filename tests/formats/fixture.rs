//! Folders as earlier builds left them, for the tests of several crates (docs/formats.md).
//!
//! Every folder `tests/formats/fixtures/<version>/<what>` stands beside a `<what>.json` that says
//! what must be in it. A file that ends in `.zst` is unpacked; it is there because sled makes its
//! files large and nearly empty.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A data folder that one build wrote.
#[derive(Debug)]
pub(crate) struct Fixture {
    /// The version of the formats, `v0.1.0`.
    pub(crate) version: String,
    /// What must be in it.
    pub(crate) expected: Value,
    folder: PathBuf,
}

impl Fixture {
    /// Those of every version that has one of this name, oldest first.
    pub(crate) fn all(name: &str) -> Vec<Self> {
        let root = root().join("fixtures");
        let mut versions: Vec<PathBuf> = fs::read_dir(&root)
            .expect("the fixtures are there")
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|version| version.join(name).is_dir())
            .collect();
        versions.sort();
        assert!(!versions.is_empty(), "no fixture of {name}");
        versions
            .into_iter()
            .map(|version| {
                let json = fs::read(version.join(format!("{name}.json")));
                Self {
                    version: version
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    expected: serde_json::from_slice(&json.expect("what must be in it"))
                        .expect("what must be in it is JSON"),
                    folder: version.join(name),
                }
            })
            .collect()
    }

    /// Makes the folder anew, as private as it was.
    pub(crate) fn unpack(&self, to: &Path) {
        unpack(&self.folder, to);
    }
}

/// The folder of this file, from whichever crate it is used.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors()
        .map(|folder| folder.join("tests/formats"))
        .find(|folder| folder.join("fixtures").is_dir())
        .expect("the fixtures are in the workspace")
}

fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder for the copy");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("a private folder");
    for entry in fs::read_dir(from).expect("a readable fixture") {
        let path = entry.expect("a readable fixture").path();
        let mut target = to.join(path.file_name().unwrap_or_default());
        if path.is_symlink() {
            symlink(fs::read_link(&path).expect("a link"), &target).expect("a link again");
        } else if path.is_dir() {
            unpack(&path, &target);
        } else {
            let mut bytes = fs::read(&path).expect("a readable fixture");
            if path.extension().is_some_and(|extension| extension == "zst") {
                target.set_extension("");
                bytes = zstd::decode_all(bytes.as_slice()).expect("a whole zstd file");
            }
            fs::write(&target, bytes).expect("room for the copy");
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600))
                .expect("a private file");
        }
    }
}
