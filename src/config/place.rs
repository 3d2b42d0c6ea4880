//! Where in a TOML text something stands.

use toml::de::{DeTable, DeValue};

/// The line of a byte, from one.
pub(super) fn line_of(text: &str, start: usize) -> usize {
    1 + text
        .bytes()
        .take(start)
        .filter(|&byte| byte == b'\n')
        .count()
}

/// Where a dotted key stands, if it does.
pub(super) fn start_of(text: &str, dotted: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut words = dotted.split('.').peekable();
    while let Some(word) = words.next() {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == word)?;
        if words.peek().is_none() {
            return Some(key.span().start);
        }
        let DeValue::Table(inner) = value.get_ref() else {
            return None;
        };
        table = inner;
    }
    None
}

/// The key whose value, or which itself, stands at a byte, as far as its line shows it.
pub(super) fn key_at(text: &str, start: usize) -> Option<String> {
    let line = text.lines().nth(line_of(text, start) - 1)?;
    let (key, _) = line.split_once('=')?;
    Some(key.trim().to_owned())
}
