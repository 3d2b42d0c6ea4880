//! The files of a workspace in memory, and what a rule found in them.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Every text file of a workspace by its path from the root, with `/` between folders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads a folder, leaving out `.git`, what `.gitignore` names at the root, and files that are
    /// not UTF-8.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut skipped = vec![".git"];
        skipped.extend(
            ignored
                .lines()
                .filter_map(|line| line.trim().strip_prefix('/')),
        );
        let mut tree = Self::default();
        tree.read_folder(root, "", &skipped)?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str, skipped: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() && !skipped.contains(&path.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"), skipped)?;
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn holds(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file and its text, in the order of the paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file and its text.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| extension(path) == "rs")
    }

    /// The folders that hold a manifest, the root as `.`.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.files().filter_map(|(path, _)| match path {
            "Cargo.toml" => Some("."),
            _ => path.strip_suffix("/Cargo.toml"),
        })
    }
}

/// The path of the manifest in a package's folder.
pub(crate) fn manifest_of(folder: &str) -> String {
    if folder == "." {
        "Cargo.toml".to_owned()
    } else {
        format!("{folder}/Cargo.toml")
    }
}

/// What stands after the last dot of a file's name, or the whole name.
pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit('.').next().unwrap_or(name)
}

/// The lines of a Rust file that are shipped code: comments blanked, `#[cfg(test)]` modules left
/// out. It leans on rustfmt: such a module closes with a brace in the attribute's own column.
pub(crate) fn shipped_code(text: &str) -> Vec<(usize, String)> {
    let mut shipped = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            shipped.push((index + 1, before_comment(line).to_owned()));
            continue;
        }
        let column = indent(line);
        let close = format!("{}}}", " ".repeat(column));
        for (_, inside) in lines.by_ref() {
            let attribute = inside.trim_start().starts_with("#[");
            let one_line = indent(inside) == column && inside.ends_with(';') && !attribute;
            if inside == close || one_line {
                break;
            }
        }
    }
    shipped
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn before_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

/// Whether `needle` stands in `line` as a word of its own.
pub(crate) fn names(line: &str, needle: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + needle.len()..].chars().next();
        let open_start = !needle.starts_with(part) || !before.is_some_and(part);
        let open_end = !needle.ends_with(part) || !after.is_some_and(part);
        open_start && open_end
    })
}
