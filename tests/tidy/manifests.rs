//! What manifests may say: who knows whom, what is pinned, what is inherited.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::tree::{Finding, Tree, manifest_of};

/// Who may name whom of ours, from ARCHITECTURE.md. Those in [`ANYTHING`] may name all, and
/// everything under `examples/` nothing.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("kernel", &["protocol"]),
    ("journal", &["protocol"]),
    ("certs", &["protocol"]),
    ("store", &["journal", "kernel", "protocol"]),
    ("actors", &["store", "kernel", "protocol"]),
    ("connector", &["journal", "kernel", "certs", "protocol"]),
    (
        ".",
        &[
            "protocol",
            "kernel",
            "journal",
            "certs",
            "store",
            "actors",
            "connector",
            "examples/courses",
        ],
    ),
    ("tests/fuzz/libfuzzer", &["tests/fuzz"]),
];

/// Who drives the house from outside and may name all of it.
const ANYTHING: &[&str] = &["bench", "tests/fuzz"];

/// Packages that are no members, because a tool of their own builds them; each is a workspace of
/// its own.
const APART: &[&str] = &["tests/fuzz/libfuzzer"];

/// Foreign crates that one crate of ours contains, and who else may name them. A trailing `(dev)`
/// means in `[dev-dependencies]` only.
const CONTAINED: &[(&str, &[&str])] = &[
    // The root package and the bench for `System` alone; sources.rs looks at what it does with it.
    ("actix", &["actors", ".", "bench"]),
    ("sled", &["store"]),
    // The bench's bare floors compare with what rustls does alone; the root's tests make
    // certificates that the daemon must refuse.
    ("rustls", &["certs", "bench", ".(dev)"]),
    ("tokio-rustls", &["certs", "bench", ".(dev)"]),
    ("rustls-webpki", &["certs", ".(dev)"]),
    ("rcgen", &["certs", "bench", ".(dev)"]),
    ("bincode", &["protocol"]),
];

/// Crates whose exact version is a decision (docs/adr).
const PINS: &[(&str, &str)] = &[
    ("actix", "=0.13.5"),
    ("bincode", "=2.0.1"),
    ("sled", "=0.34.7"),
];

/// What the contract and the rules may not even depend on, tests apart: a clock, a socket, a log,
/// chance.
const IMPURE: &[&str] = &["actix", "axum", "metrics", "rand", "tokio", "tracing"];

const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// A crate names none of ours that stands beside or above it.
pub(crate) fn who_knows_whom(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let folders: BTreeMap<String, String> = tree
        .packages()
        .filter_map(|folder| Some((name_of(&parse(tree, folder)?)?, folder.to_owned())))
        .collect();
    for folder in tree.packages() {
        let path = manifest_of(folder);
        let Some(manifest) = parse(tree, folder) else {
            found.push(Finding::new(&path, 1, "is not TOML"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let Some(target) = folders.get(&dependency.package) else {
                continue;
            };
            if target != folder && !may_know(folder, target) {
                let what = format!("{folder} may not know {target} (tests/tidy/manifests.rs)");
                found.push(Finding::new(
                    &path,
                    line_of(tree, &path, &dependency.key),
                    what,
                ));
            }
        }
        if !known(folder) {
            found.push(Finding::new(
                &path,
                1,
                "stands in no row of MAY_KNOW: give it one",
            ));
        }
    }
    found
}

/// A contained foreign crate is named by those who contain it; `protocol` and `kernel` name none
/// that brings a clock, a socket or chance.
pub(crate) fn contained(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for folder in tree.packages() {
        let path = manifest_of(folder);
        let Some(manifest) = parse(tree, folder) else {
            continue;
        };
        for dependency in dependencies(&manifest) {
            let dev = dependency.section == "dev-dependencies";
            let line = line_of(tree, &path, &dependency.key);
            let package = dependency.package.as_str();
            if let Some((_, allowed)) = CONTAINED.iter().find(|(name, _)| *name == package) {
                let named =
                    |who: &str| who == folder || (dev && who.strip_suffix("(dev)") == Some(folder));
                if !allowed.iter().any(|who| named(who)) {
                    let what = format!("{package} is known to {} only", allowed.join(", "));
                    found.push(Finding::new(&path, line, what));
                }
            }
            if ["protocol", "kernel"].contains(&folder) && !dev && IMPURE.contains(&package) {
                found.push(Finding::new(
                    &path,
                    line,
                    format!("{folder} is pure: no {package}"),
                ));
            }
        }
    }
    found
}

/// Every package but those in [`APART`] is a member and takes edition, rust-version, license, lints and the versions of
/// its dependencies from the workspace; the workspace forbids unsafe code.
pub(crate) fn inherited(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let root = parse(tree, ".").unwrap_or_default();
    let members: Vec<&str> = at(&root, &["workspace", "members"])
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let unsafe_code = at(&root, &["workspace", "lints", "rust", "unsafe_code"]);
    let level = unsafe_code.and_then(|lint| lint.get("level").or(Some(lint)));
    if level.and_then(Value::as_str) != Some("forbid") {
        found.push(Finding::new(
            "Cargo.toml",
            1,
            "the workspace must forbid unsafe_code",
        ));
    }
    for folder in tree.packages() {
        let path = manifest_of(folder);
        let Some(manifest) = parse(tree, folder) else {
            continue;
        };
        if APART.contains(&folder) {
            if at(&manifest, &["workspace"]).is_none() {
                found.push(Finding::new(&path, 1, "must be a workspace of its own"));
            }
            continue;
        }
        if folder != "." && !members.contains(&folder) {
            found.push(Finding::new(&path, 1, "is no member of the workspace"));
        }
        let mut wanted: Vec<Vec<&str>> = vec![vec!["lints"]];
        wanted.extend(["edition", "rust-version", "license"].map(|key| vec!["package", key]));
        for keys in wanted {
            let value = at(&manifest, &keys).and_then(|value| value.get("workspace"));
            if value.and_then(Value::as_bool) != Some(true) {
                let what = format!("{} must be taken from the workspace", keys.join("."));
                found.push(Finding::new(&path, 1, what));
            }
        }
        for dependency in dependencies(&manifest).iter().filter(|one| !one.inherited) {
            let what = format!("{} must say `workspace = true`", dependency.key);
            found.push(Finding::new(
                &path,
                line_of(tree, &path, &dependency.key),
                what,
            ));
        }
    }
    found
}

/// The versions that are decisions stand in the workspace, exactly.
pub(crate) fn pinned(tree: &Tree) -> Vec<Finding> {
    let root = parse(tree, ".").unwrap_or_default();
    let mut found = Vec::new();
    for (name, version) in PINS {
        let entry = at(&root, &["workspace", "dependencies", name]);
        let written = entry.and_then(|value| value.get("version").or(Some(value)));
        if written.and_then(Value::as_str) != Some(version) {
            let line = line_of(tree, "Cargo.toml", name);
            found.push(Finding::new(
                "Cargo.toml",
                line,
                format!("{name} must be \"{version}\""),
            ));
        }
    }
    found
}

struct Dependency {
    /// As written in the manifest.
    key: String,
    /// The package meant, which `package = "…"` may rename.
    package: String,
    section: &'static str,
    inherited: bool,
}

/// All dependencies of a manifest, those for one target included.
fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let mut all = Vec::new();
    for table in tables {
        for &section in SECTIONS {
            let Some(listed) = table.get(section).and_then(Value::as_table) else {
                continue;
            };
            all.extend(listed.iter().map(|(key, value)| Dependency {
                key: key.clone(),
                package: text(value, "package").unwrap_or(key).to_owned(),
                section,
                inherited: value.get("workspace").and_then(Value::as_bool) == Some(true),
            }));
        }
    }
    all
}

fn may_know(folder: &str, target: &str) -> bool {
    let listed = MAY_KNOW.iter().find(|(name, _)| *name == folder);
    ANYTHING.contains(&folder) || listed.is_some_and(|(_, allowed)| allowed.contains(&target))
}

fn known(folder: &str) -> bool {
    ANYTHING.contains(&folder)
        || folder.starts_with("examples/")
        || MAY_KNOW.iter().any(|(name, _)| *name == folder)
}

fn parse(tree: &Tree, folder: &str) -> Option<Table> {
    tree.text(&manifest_of(folder))?.parse().ok()
}

fn name_of(manifest: &Table) -> Option<String> {
    Some(text(manifest.get("package")?, "name")?.to_owned())
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn line_of(tree: &Tree, path: &str, key: &str) -> usize {
    let starts = |line: &str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    let lines = tree.text(path).unwrap_or_default().lines();
    lines
        .into_iter()
        .position(starts)
        .map_or(1, |index| index + 1)
}
