//! What is shown of each step: for people, or as JSON lines.

use std::io::Write as _;

use serde::Serialize;

/// What was seen from outside.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Evidence(Vec<(&'static str, String)>);

/// One step and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    pub(super) step: &'a str,
    pub(super) held: bool,
    pub(super) took_ms: u128,
    #[serde(serialize_with = "as_map")]
    pub(super) evidence: &'a Evidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

impl Evidence {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a thing that was seen.
    pub(super) fn saw(mut self, what: &'static str, value: impl ToString) -> Self {
        self.0.push((what, value.to_string()));
        self
    }
}

impl Shown<'_> {
    pub(super) fn print(&self, json: bool) {
        if json {
            say(&serde_json::to_string(self).unwrap_or_default());
            return;
        }
        let mark = if self.held { "held  " } else { "FAILED" };
        let mut line = format!("{mark} {:<12} {:>6} ms ", self.step, self.took_ms);
        for (what, value) in &self.evidence.0 {
            line.push_str(&format!(" {what}={value}"));
        }
        if let Some(why) = &self.why {
            line.push_str(&format!("\n       {why}"));
        }
        say(&line);
    }
}

fn as_map<S: serde::Serializer>(evidence: &&Evidence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(evidence.0.iter().map(|(what, value)| (what, value)))
}

/// Writes a line to standard output; a closed pipe is nobody's fault.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes a line to standard error.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
