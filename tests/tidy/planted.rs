//! A tiny workspace that keeps every rule, and one breach of each.

use crate::{
    Rule, manifests, sources,
    tree::{Finding, Tree, manifest_of},
    words,
};

/// A rule, the file planted, its text, and what the finding must name.
struct Breach {
    rule: Rule,
    path: &'static str,
    text: String,
    says: &'static str,
}

#[test]
fn the_tiny_workspace_keeps_every_rule() {
    let tree = workspace();
    for breach in breaches() {
        assert_eq!((breach.rule)(&tree), [], "planted for {}", breach.says);
    }
}

#[test]
fn every_planted_breach_is_found_by_its_rule_and_by_that_alone() {
    for breach in breaches() {
        let tree = workspace().with(breach.path, &breach.text);
        let found = (breach.rule)(&tree);
        let named = |one: &Finding| {
            let line = one.to_string();
            line.starts_with(breach.path) && line.contains(breach.says)
        };
        assert!(
            !found.is_empty() && found.iter().all(named),
            "{} should say `{}`, said {found:?}",
            breach.path,
            breach.says
        );
    }
}

#[test]
fn what_only_looks_like_a_breach_is_left_alone() {
    let test_module = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    let tree = workspace()
        .with("kernel/src/rule.rs", test_module)
        .with(
            "kernel/src/word.rs",
            "// The tokio runtime runs elsewhere.\nfn workshop(label: u8) {}\n",
        )
        .with(
            "kernel/src/kind.rs",
            "fn f() -> RuntimeType { RuntimeType::Courses }\n",
        )
        .with("examples/courses/src/lib.rs", "struct Course;\n")
        .with("src/dev/pilot.rs", "fn course() {}\n")
        .with("src/main.rs", "fn main() { actix::System::new(); }\n")
        .with("bench/src/floor/tls.rs", "use rustls::ClientConfig;\n")
        .with("docs/long.md", &"line\n".repeat(600))
        .with(
            "kernel/src/table.rs",
            &format!("//! As ADR 0009 says.\n{}", "\n".repeat(600)),
        );
    for breach in breaches() {
        assert_eq!((breach.rule)(&tree), []);
    }
}

#[test]
fn a_breach_on_disk_is_read_from_disk_and_ignored_folders_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let planted = workspace()
        .with(".gitignore", "/target\n")
        .with("target/junk.rs", "fn f() { todo() }\t\n")
        .with("store/src/lib.rs", "fn f() {\t}\n");
    for (path, text) in planted.files() {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.path().join("film.mp4"), [0xff, 0xfe, b'\t']).unwrap();

    let found = sources::plain(&Tree::read(folder.path()).unwrap());

    assert_eq!(found, [Finding::new("store/src/lib.rs", 1, "holds a tab")]);
}

fn breaches() -> Vec<Breach> {
    let breach = |rule: Rule, path: &'static str, text: &str, says: &'static str| Breach {
        rule,
        path,
        text: text.to_owned(),
        says,
    };
    let mut all = Vec::new();
    all.extend(broken_manifests(breach));
    all.extend(broken_sources(breach));
    all
}

fn broken_manifests(
    breach: impl Fn(Rule, &'static str, &str, &'static str) -> Breach,
) -> Vec<Breach> {
    let kernel = |dependency: &str| member("kernel", &["provost-protocol", dependency]);
    let renamed = kernel("") + "j = { workspace = true, package = \"provost-journal\" }\n";
    let for_tests = kernel("") + "[dev-dependencies]\nprovost-store.workspace = true\n";
    let for_unix = kernel("") + "[target.'cfg(unix)'.dependencies]\nsled.workspace = true\n";
    let know: Rule = manifests::who_knows_whom;
    let contained: Rule = manifests::contained;
    let inherited: Rule = manifests::inherited;
    let pinned: Rule = manifests::pinned;
    let own_version = kernel("") + "serde = \"1\"\n";
    let root = root_manifest();
    let apart = "[package]\nname = \"provost-libfuzzer\"\n[dependencies]\n";
    vec![
        breach(
            know,
            "tests/fuzz/libfuzzer/Cargo.toml",
            &format!("{apart}provost-store = \"1\"\n[workspace]\n"),
            "tests/fuzz/libfuzzer may not know store",
        ),
        breach(
            inherited,
            "tests/fuzz/libfuzzer/Cargo.toml",
            apart,
            "must be a workspace of its own",
        ),
        breach(
            know,
            "kernel/Cargo.toml",
            &kernel("provost-store"),
            "kernel may not know store",
        ),
        breach(
            know,
            "kernel/Cargo.toml",
            &renamed,
            "kernel may not know journal",
        ),
        breach(
            know,
            "kernel/Cargo.toml",
            &for_tests,
            "kernel may not know store",
        ),
        breach(
            know,
            "examples/courses/Cargo.toml",
            &member("courses", &["provost-protocol"]),
            "examples/courses may not know protocol",
        ),
        breach(
            know,
            "extra/Cargo.toml",
            &member("extra", &[]),
            "no row of MAY_KNOW",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["sled", "actix"]),
            "actix is known",
        ),
        breach(
            contained,
            "kernel/Cargo.toml",
            &for_unix,
            "sled is known to store",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["rustls"]),
            "rustls is known",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["tokio-rustls"]),
            "tokio-rustls",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["rustls-webpki"]),
            "rustls-webpki",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["rcgen"]),
            "rcgen is known",
        ),
        breach(
            contained,
            "store/Cargo.toml",
            &member("store", &["bincode"]),
            "bincode is known",
        ),
        breach(
            contained,
            "Cargo.toml",
            &(root.clone() + "rcgen.workspace = true\n"),
            "rcgen",
        ),
        breach(
            contained,
            "kernel/Cargo.toml",
            &kernel("tokio"),
            "kernel is pure: no tokio",
        ),
        breach(
            inherited,
            "kernel/Cargo.toml",
            &kernel("").replace("[lints]\nworkspace = true", ""),
            "lints must be taken",
        ),
        breach(
            inherited,
            "kernel/Cargo.toml",
            &kernel("").replace("edition.workspace = true", "edition = \"2021\""),
            "package.edition",
        ),
        breach(
            inherited,
            "kernel/Cargo.toml",
            &kernel("").replace("rust-version.workspace = true", ""),
            "package.rust-version",
        ),
        breach(
            inherited,
            "kernel/Cargo.toml",
            &kernel("").replace("license.workspace = true", ""),
            "package.license",
        ),
        breach(
            inherited,
            "kernel/Cargo.toml",
            &own_version,
            "serde must say",
        ),
        breach(
            inherited,
            "lost/Cargo.toml",
            &member("lost", &[]),
            "no member",
        ),
        breach(
            inherited,
            "Cargo.toml",
            &root.replace("\"forbid\"", "\"deny\""),
            "forbid unsafe_code",
        ),
        breach(
            pinned,
            "Cargo.toml",
            &root.replace("=2.0.1", "2"),
            "bincode must be",
        ),
        breach(
            pinned,
            "Cargo.toml",
            &root.replace("=0.34.7", "0.34"),
            "sled must be",
        ),
        breach(
            pinned,
            "Cargo.toml",
            &root.replace("=0.13.5", "0.13"),
            "actix must be",
        ),
    ]
}

fn broken_sources(
    breach: impl Fn(Rule, &'static str, &str, &'static str) -> Breach,
) -> Vec<Breach> {
    let contained: Rule = sources::contained;
    let pure: Rule = sources::pure;
    let finished: Rule = sources::finished;
    let portable: Rule = sources::portable;
    let neutral: Rule = words::neutral;
    let mut all = vec![
        breach(
            contained,
            "protocol/src/wire.rs",
            "use bincode::serde;\n",
            "codec.rs",
        ),
        breach(
            contained,
            "src/serve.rs",
            "use actix::prelude::*;\n",
            "System alone",
        ),
        breach(
            contained,
            "bench/src/load.rs",
            "use tokio_rustls::client;\n",
            "bench/src/floor/",
        ),
        breach(
            sources::short,
            "store/src/long.rs",
            &"\n".repeat(501),
            "501 lines",
        ),
        breach(
            finished,
            "store/src/a.rs",
            concat!("fn f() { to", "do!() }\n"),
            concat!("to", "do!("),
        ),
        breach(
            finished,
            "store/src/a.rs",
            concat!("fn f() { unimple", "mented!() }\n"),
            concat!("unimple", "mented!("),
        ),
        breach(
            finished,
            "store/src/a.rs",
            concat!("#[ig", "nore]\n"),
            concat!("#[ig", "nore"),
        ),
        breach(
            finished,
            "docs/a.md",
            concat!("FIX", "ME later\n"),
            concat!("FIX", "ME"),
        ),
        breach(
            finished,
            "store/src/a.rs",
            concat!("// XX", "X\n"),
            concat!("XX", "X"),
        ),
        breach(
            portable,
            "store/src/a.rs",
            concat!("\"/ho", "me/ada/x\"\n"),
            "one machine",
        ),
        breach(
            portable,
            "docs/a.md",
            concat!("See /wo", "rk/x.\n"),
            "one machine",
        ),
        breach(
            sources::plain,
            "store/src/a.rs",
            "fn f() {\r\n}\n",
            "carriage return",
        ),
        breach(
            sources::plain,
            "store/src/a.rs",
            "\tfn f() {}\n",
            "holds a tab",
        ),
        breach(neutral, "kernel/src/a.rs", "struct CourseId;\n", "`course`"),
        breach(neutral, "kernel/src/a.rs", "/// Starts a lab.\n", "`lab`"),
        breach(
            neutral,
            "src/cli.rs",
            "const KIND: &str = \"quiz_done\";\n",
            "`quiz`",
        ),
        breach(
            neutral,
            "store/Cargo.toml",
            "description = \"lessons\"\n",
            "`lessons`",
        ),
        breach(
            neutral,
            "kernel/src/a.rs",
            "Courses = \"courses\",\n",
            "`courses`",
        ),
    ];
    let impure = [
        ("SystemTime", "fn f(now: SystemTime) {}\n"),
        ("Instant::now", "fn f() { Instant::now(); }\n"),
        ("std::fs", "use std::fs;\n"),
        ("std::net", "use std::{\n    fmt,\n    net::IpAddr,\n};\n"),
        ("std::thread", "fn f() { std::thread::yield_now(); }\n"),
        ("tokio", "use tokio::sync;\n"),
        ("tracing", "fn f() { tracing::info!(\"x\"); }\n"),
        ("rand::", "fn f() { rand::random::<u8>(); }\n"),
        ("now_v7", "fn f() { Uuid::now_v7(); }\n"),
    ];
    for (says, text) in impure {
        all.push(breach(pure, "kernel/src/a.rs", text, says));
        all.push(breach(pure, "protocol/src/a.rs", text, says));
    }
    all
}

/// Two crates of each kind are enough for every rule to have something to look at.
fn workspace() -> Tree {
    let members: [(&str, &[&str]); 7] = [
        ("protocol", &["bincode"]),
        ("kernel", &["provost-protocol"]),
        ("journal", &["provost-protocol"]),
        (
            "store",
            &[
                "provost-journal",
                "provost-kernel",
                "provost-protocol",
                "sled",
            ],
        ),
        (
            "certs",
            &["provost-protocol", "rcgen", "rustls", "tokio-rustls"],
        ),
        ("actors", &["provost-store", "actix"]),
        ("bench", &["provost-protocol", "provost-store", "rustls"]),
    ];
    let mut tree = Tree::default().with("Cargo.toml", &root_manifest());
    for (folder, dependencies) in members {
        tree = tree
            .with(&manifest_of(folder), &member(folder, dependencies))
            .with(&format!("{folder}/src/lib.rs"), "//! Nothing to see.\n");
    }
    tree.with("examples/courses/Cargo.toml", &member("courses", &["axum"]))
        .with("protocol/src/codec.rs", "use bincode::config;\n")
}

fn root_manifest() -> String {
    let workspace = r#"[workspace]
members = ["protocol", "kernel", "journal", "store", "certs", "actors", "bench", "examples/courses"]
[workspace.lints.rust]
unsafe_code = "forbid"
[workspace.dependencies]
actix = "=0.13.5"
bincode = { version = "=2.0.1" }
sled = "=0.34.7"
"#;
    workspace.to_owned() + &member("provost", &["provost-actors", "provost-courses", "actix"])
}

fn member(name: &str, dependencies: &[&str]) -> String {
    let name = if name == "provost" {
        name.to_owned()
    } else {
        format!("provost-{name}")
    };
    let dependencies: String = dependencies
        .iter()
        .filter(|one| !one.is_empty())
        .map(|one| format!("{one}.workspace = true\n"))
        .collect();
    format!(
        "[package]\nname = \"{name}\"\nedition.workspace = true\nrust-version.workspace = true\n\
         license.workspace = true\n[lints]\nworkspace = true\n[dependencies]\n{dependencies}"
    )
}
