//! What sources may say, whichever crate they are in.

use crate::tree::{Finding, Tree, extension, names, shipped_code};

/// What a pure crate may not mention in shipped code: a clock, chance, a file, a socket, a
/// thread, a process, a log. `now_v7` and `new_v4` are here because they hide a clock and chance.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "now_utc",
    "now_v7",
    "new_v4",
    "rand::",
    "tokio",
    "tracing",
];

/// Modules of `std` that a pure crate may not use, alone or in a group.
const IMPURE_STD: &[&str] = &["env", "fs", "net", "process", "thread"];

/// Written apart, so that this file does not find itself.
const UNFINISHED_MACROS: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];
const UNFINISHED_WORDS: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
];

/// More lines than this need an ADR: the one-idea file is 150 to 300 lines.
const LINES_MAX: usize = 500;
/// Where the record is named: in the head, before the code it excuses.
const HEAD_LINES: usize = 30;

/// What people write by hand; goldens and media may hold anything.
const WRITTEN: &[&str] = &[
    "rs", "toml", "md", "sh", "run", "service", "socket", "conf", "html", "css", "js", "py",
    "yaml", "yml",
];

/// bincode stays in the codec, actix in `src` and the bench is `System` alone, rustls and rcgen in
/// the bench are the floor.
pub(crate) fn contained(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        let crate_of = path.split('/').next().unwrap_or_default();
        for (line, code) in shipped_code(text) {
            if path.starts_with("protocol/src/") && path != "protocol/src/codec.rs" {
                refuse(
                    &mut found,
                    path,
                    line,
                    &code,
                    "bincode",
                    "is for protocol/src/codec.rs",
                );
            }
            if ["src", "bench"].contains(&crate_of)
                && names(&code.replace("actix::System", ""), "actix")
            {
                found.push(Finding::new(
                    path,
                    line,
                    format!("of actix, {crate_of} may name System alone"),
                ));
            }
            if crate_of == "bench" && !path.starts_with("bench/src/floor") {
                for name in ["rustls", "tokio_rustls", "rcgen"] {
                    refuse(
                        &mut found,
                        path,
                        line,
                        &code,
                        name,
                        "is for bench/src/floor/",
                    );
                }
            }
        }
    }
    found
}

/// `protocol` and `kernel` take time and facts as values and touch nothing outside.
pub(crate) fn pure(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        let shipped = path.starts_with("protocol/src/") || path.starts_with("kernel/src/");
        if !shipped || path.ends_with("/tests.rs") || path.contains("/tests/") {
            continue;
        }
        let code = shipped_code(text);
        for (line, code) in &code {
            for needle in IMPURE {
                refuse(
                    &mut found,
                    path,
                    *line,
                    code,
                    needle,
                    "has no place in a pure crate",
                );
            }
            for module in IMPURE_STD {
                let needle = format!("std::{module}");
                refuse(
                    &mut found,
                    path,
                    *line,
                    code,
                    &needle,
                    "has no place in a pure crate",
                );
            }
        }
        for (line, module) in grouped_std(&code) {
            if IMPURE_STD.contains(&module.as_str()) {
                let what = format!("`std::{module}` has no place in a pure crate");
                found.push(Finding::new(path, line, what));
            }
        }
    }
    found
}

/// A Rust file over [`LINES_MAX`] names an ADR in its head.
pub(crate) fn short(tree: &Tree) -> Vec<Finding> {
    let too_long = |text: &str| {
        text.lines().count() > LINES_MAX
            && !text.lines().take(HEAD_LINES).any(|line| names(line, "ADR"))
    };
    tree.rust()
        .filter(|(_, text)| too_long(text))
        .map(|(path, text)| {
            let what = format!(
                "{} lines and no ADR named in the head",
                text.lines().count()
            );
            Finding::new(path, 1, what)
        })
        .collect()
}

/// Nothing says that it is not done yet, and no test is switched off.
pub(crate) fn finished(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, line, text) in written_lines(tree) {
        if extension(path) == "rs" {
            for needle in UNFINISHED_MACROS {
                refuse(&mut found, path, line, text, needle, "is unfinished work");
            }
        }
        for needle in UNFINISHED_WORDS {
            refuse(&mut found, path, line, text, needle, "is unfinished work");
        }
    }
    found
}

/// No absolute path of somebody's machine.
pub(crate) fn portable(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, line, text) in written_lines(tree) {
        for needle in MACHINE_FOLDERS {
            let absolute = text.match_indices(needle).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "_.-}*".contains(c))
            });
            if absolute {
                found.push(Finding::new(
                    path,
                    line,
                    format!("`{needle}` is one machine's path"),
                ));
            }
        }
    }
    found
}

/// Unix line ends everywhere, no tab in Rust.
pub(crate) fn plain(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree
        .files()
        .filter(|(path, _)| WRITTEN.contains(&extension(path)))
    {
        for (index, line) in text.split('\n').enumerate() {
            if line.ends_with('\r') {
                found.push(Finding::new(path, index + 1, "ends in a carriage return"));
            }
            if extension(path) == "rs" && line.contains('\t') {
                found.push(Finding::new(path, index + 1, "holds a tab"));
            }
        }
    }
    found
}

fn written_lines(tree: &Tree) -> impl Iterator<Item = (&str, usize, &str)> {
    tree.files()
        .filter(|(path, _)| WRITTEN.contains(&extension(path)))
        .flat_map(|(path, text)| {
            text.lines()
                .enumerate()
                .map(move |(index, line)| (path, index + 1, line))
        })
}

fn refuse(found: &mut Vec<Finding>, path: &str, line: usize, text: &str, needle: &str, why: &str) {
    if names(text, needle) {
        found.push(Finding::new(path, line, format!("`{needle}` {why}")));
    }
}

/// The modules named in groups: `use std::{fmt, net::IpAddr};` gives `fmt` and `net`.
fn grouped_std(code: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut modules = Vec::new();
    let mut depth = 0_usize;
    let mut word = String::new();
    for (line, text) in code {
        let rest = match text.find("std::{") {
            Some(at) if depth == 0 => &text[at + "std::".len()..],
            _ if depth == 0 => continue,
            _ => text,
        };
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ if depth == 1 && (c.is_alphanumeric() || c == '_') => {
                    word.push(c);
                    continue;
                }
                // What stands after a `::` is taken for a module too; none on the list is one.
                _ => {}
            }
            if !word.is_empty() {
                modules.push((*line, std::mem::take(&mut word)));
            }
            if depth == 0 {
                break;
            }
        }
    }
    modules
}
