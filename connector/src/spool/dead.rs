//! Events that the kernel refused for good: kept with the reason, one JSON line each.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use provost_protocol::{Code, Problem, TenantId, Timestamp, json::RawJson};
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};

#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// Which events are set aside: delivery goes tenant by tenant, so their order says nothing.
    numbers: BTreeSet<u64>,
    bytes: u64,
}

/// One refused event.
#[derive(Debug, Serialize)]
struct Letter<'a> {
    number: u64,
    refused_at: Timestamp,
    tenant: TenantId,
    code: Code,
    detail: &'a str,
    event: RawJson,
}

#[derive(Deserialize)]
struct Head {
    number: u64,
}

/// Why a refused event could not be set aside: delivery stops until it can.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadError {
    #[error(
        "the file of dead letters has reached {DEAD_BYTES_MAX} bytes: an operator must move it"
    )]
    Full,
    #[error("the file of dead letters cannot be written")]
    File(#[from] DurableError),
}

impl DeadLetters {
    pub(crate) fn open(path: &Path) -> Result<Self, DurableError> {
        let mut state = State::default();
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(durable::failed("open", path)(error)),
            Ok(file) => {
                for line in BufReader::new(file).split(b'\n') {
                    let line = line.map_err(durable::failed("read", path))?;
                    state.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX) + 1;
                    // A line cut short by a crash: its event is delivered again, and set aside.
                    let Ok(head) = serde_json::from_slice::<Head>(&line) else {
                        continue;
                    };
                    state.count += 1;
                    state.numbers.insert(head.number);
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count
    }

    /// Sets an event aside, durably; one that is set aside already stays as it is.
    pub(crate) fn add(
        &self,
        number: u64,
        tenant: TenantId,
        event: &[u8],
        problem: &Problem,
        at: Timestamp,
    ) -> Result<(), DeadError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.numbers.contains(&number) {
            return Ok(());
        }
        if state.bytes > DEAD_BYTES_MAX {
            return Err(DeadError::Full);
        }
        let text = String::from_utf8_lossy(event);
        let event = RawJson::parse(&text)
            .or_else(|_| RawJson::of(text.as_ref()))
            .map_err(|_| DurableError::Damaged {
                path: self.path.clone(),
            })?;
        let letter = Letter {
            number,
            refused_at: at,
            tenant,
            code: problem.code,
            detail: &problem.detail,
            event,
        };
        let line = serde_json::to_string(&letter).map_err(|_| DurableError::Damaged {
            path: self.path.clone(),
        })?;
        // On a line of its own, whatever a crash left of the one before.
        durable::append_line(&self.path, &format!("\n{line}"))?;
        state.count += 1;
        state.numbers.insert(number);
        state.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX) + 2;
        Ok(())
    }
}

/// Refusals are faults of a product, seen in its first test: 64 MiB of them is a thousand and more.
const DEAD_BYTES_MAX: u64 = 64 * 1024 * 1024;
