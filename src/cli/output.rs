//! What is printed: the only place of the command line that writes to standard output.

use std::{error::Error, io::Write as _};

use clap::ValueEnum;
use provost_actors::{Clock as _, SystemClock};
use provost_protocol::Timestamp;
use serde::Serialize;

use super::{
    exit::Failure,
    table::{self, Shown},
};
use crate::admin::view::Page;

/// For whom answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs: one JSON document, or one a line where there is no end
    Json,
}

/// Prints answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    format: Format,
    now: Timestamp,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            now: SystemClock.now(),
        }
    }

    /// Whether a program reads.
    pub(super) const fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// When the command began.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Prints one thing.
    pub(super) fn one<T: Shown + Serialize>(&self, value: &T) -> Result<(), Failure> {
        if self.is_json() {
            return self.json(value);
        }
        self.line(&table::one(value, self.now))
    }

    /// Prints a list; says so where it goes on.
    pub(super) fn list<T: Shown + Serialize>(&self, page: &Page<T>) -> Result<(), Failure> {
        if self.is_json() {
            return self.json(page);
        }
        if page.items.is_empty() {
            self.note("none");
            return Ok(());
        }
        self.line(&table::list(&page.items, self.now))?;
        if page.next_cursor.is_some() {
            self.note("there are more; --limit shows them");
        }
        Ok(())
    }

    /// Prints JSON, for people to read as well.
    pub(super) fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::failed("writing the answer", error))?;
        self.line(&text)
    }

    /// Prints a line. A reader that has gone away ends the command: there is nobody to tell.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the one who may print"
    )]
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::failed("printing", error))
    }

    /// Says something about an answer, to people only.
    #[expect(clippy::print_stderr, reason = "what is said beside the answer")]
    pub(super) fn note(&self, text: &str) {
        if !self.is_json() {
            eprintln!("{text}");
        }
    }
}

/// Says why nothing came of a command, with every cause.
#[expect(clippy::print_stderr, reason = "a command's complaint")]
pub(super) fn complain(failure: &Failure) {
    eprintln!("error: {}", clean(&told(failure)));
}

/// An error with its causes, in one line.
pub(super) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text.push_str(": ");
        text.push_str(&one.to_string());
        cause = one.source();
    }
    text
}

/// Takes out what would move a terminal's cursor or colour its text: names come from elsewhere.
pub(super) fn clean(text: &str) -> String {
    let harmless = |c: char| c == '\n' || !c.is_control();
    text.chars()
        .map(|c| if harmless(c) { c } else { '\u{fffd}' })
        .collect()
}
