//! Why a configuration cannot be used.

use std::{io, path::PathBuf};

use super::place;

/// Why a configuration cannot be used. Whoever wrote it must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or a key is unknown, missing or of the wrong kind.
    #[error("{origin}{}: {why}", at(*line))]
    Parse {
        /// The file.
        origin: String,
        /// The line, where there is one: a missing key has none.
        line: Option<usize>,
        /// What is wrong, with the key.
        why: String,
    },
    /// A value is not allowed.
    #[error("{}{}: {key} {why}", origin.as_deref().unwrap_or("configuration"), at(*line))]
    Value {
        /// The file, where it came from one.
        origin: Option<String>,
        /// The line, where the value stands in a file: a default has none.
        line: Option<usize>,
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    pub(super) fn value(key: &'static str, why: impl Into<String>) -> Self {
        Self::Value {
            origin: None,
            line: None,
            key,
            why: why.into(),
        }
    }

    pub(super) fn parse(origin: &str, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map(|span| span.start);
        // A missing key of the whole file is reported at its beginning, where nothing stands.
        let line = start.filter(|_| !error.message().starts_with("missing field"));
        let key = start.and_then(|start| place::key_at(text, start));
        let why = match key {
            Some(key) if !error.message().contains(&key) => format!("{key}: {}", error.message()),
            _ => error.message().to_owned(),
        };
        Self::Parse {
            origin: origin.to_owned(),
            line: line.map(|start| place::line_of(text, start)),
            why: why.trim_end().to_owned(),
        }
    }

    /// The same, with the file and line the value stands in.
    pub(super) fn placed(self, from: &str, text: &str) -> Self {
        match self {
            Self::Value { key, why, .. } => Self::Value {
                origin: Some(from.to_owned()),
                line: place::start_of(text, key).map(|start| place::line_of(text, start)),
                key,
                why,
            },
            other => other,
        }
    }
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}"))
        .unwrap_or_default()
}
