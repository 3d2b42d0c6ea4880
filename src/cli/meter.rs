//! How far a long work on files is: a bar on a terminal, a line every few seconds elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Events.
    Events,
    /// Lengths of files.
    Bytes,
    /// Segments of a journal, each many megabytes long.
    Segments,
}

/// Shows on standard error how far a work is, one part of it after another.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    output: &'a Output,
    doing: &'static str,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl<'a> Meter<'a> {
    /// Shows nothing yet; and never anything where a program reads.
    pub(super) fn new(output: &'a Output) -> Self {
        Self {
            output,
            doing: "",
            bar: None,
            said: Instant::now(),
        }
    }

    /// So much of this part is done.
    pub(super) fn at(&mut self, doing: &'static str, unit: Unit, (done, total): (u64, u64)) {
        if self.output.is_json() {
            return;
        }
        if self.doing != doing {
            self.doing = doing;
            self.begin(unit);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            let what = match unit {
                Unit::Events => "events",
                Unit::Bytes => "bytes",
                Unit::Segments => "segments",
            };
            self.output
                .note(&format!("{doing}: {done} of {total} {what}"));
        }
    }

    fn begin(&mut self, unit: Unit) {
        if let Some(before) = self.bar.take() {
            before.finish_and_clear();
        }
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(match unit {
            Unit::Events => EVENTS,
            Unit::Bytes => BYTES,
            Unit::Segments => SEGMENTS,
        });
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(self.doing);
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

const EVENTS: &str = "{msg} [{bar:30}] {human_pos} of {human_len} events, {per_sec}, {eta} to go";

const BYTES: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go";

const SEGMENTS: &str = "{msg} [{bar:30}] {pos} of {len} segments, {eta} to go";

/// Often enough that the time left does not seem to stand still.
const TICK: Duration = Duration::from_millis(250);

/// Seldom enough for a log, often enough to see that it goes on.
const LINE_EVERY: Duration = Duration::from_secs(5);
