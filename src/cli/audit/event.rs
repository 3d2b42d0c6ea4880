//! Events as a page of the admin API holds them: their exact stored bytes.

use provost_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::{
    exit::Failure,
    output::{Output, clean},
};

/// One event: its exact stored bytes, which are also what a program is given.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Event(Box<RawValue>);

/// What people see of an event. A kind of a later kernel is shown like any other.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    seq: u64,
    time: Timestamp,
    kind: String,
    actor: Actor,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct Actor {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl Event {
    /// The stored bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.get().as_bytes()
    }

    /// Its place in the log.
    pub(super) fn seq(&self) -> Result<u64, Failure> {
        Ok(self.line()?.seq)
    }

    /// Prints the event on one line; answers its sequence.
    pub(super) fn print(&self, output: &Output) -> Result<u64, Failure> {
        let line = self.line()?;
        if output.is_json() {
            output.line(self.0.get())?;
        } else {
            output.line(&clean(&format!(
                "{} {:>6} {} {}/{} {}",
                line.time,
                line.seq,
                line.kind,
                line.actor.kind,
                line.actor.id,
                line.data.get(),
            )))?;
        }
        Ok(line.seq)
    }

    fn line(&self) -> Result<Line<'_>, Failure> {
        serde_json::from_str(self.0.get())
            .map_err(|error| Failure::failed("reading an event", error))
    }
}
