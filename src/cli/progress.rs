//! How far a long command has come, for whoever watches: on a terminal only, beside the answer.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;

/// A bar on standard error. It is gone when this value goes.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Events of a log.
    Events,
    /// Segments of a journal, each many megabytes long.
    Segments,
}

impl Progress {
    /// Shows a bar, unless a program reads or nobody watches.
    pub(super) fn new(output: &Output, doing: &'static str, unit: Unit, total: u64) -> Self {
        if output.is_json() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(match unit {
            Unit::Events => EVENTS,
            Unit::Segments => SEGMENTS,
        });
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(doing);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// So much there is, where that turns out only on the way.
    pub(super) fn expect(&self, total: u64) {
        self.0.set_length(total);
    }

    /// So much is done.
    pub(super) fn reach(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const EVENTS: &str = "{msg} [{bar:30}] {human_pos} of {human_len} events, {per_sec}, {eta} to go";

const SEGMENTS: &str = "{msg} [{bar:30}] {pos} of {len} segments, {eta} to go";

/// Often enough that the time left does not seem to stand still.
const TICK: Duration = Duration::from_millis(250);
