//! One live connection: what may be said in which state. Volatile; a crash ends it.
//!
//! `AwaitHello → Open → Draining → Closed`. Inputs are what was decoded, what was answered, and
//! time; outputs say what the shell must do, in order.

mod effects;

use provost_protocol::{Code, ContractVersion, Timestamp, wire::IN_FLIGHT_MAX};

pub use self::effects::{Effect, Effects, Ending};
use crate::planted::planted;

/// One live connection. Its time is counted from a moment of the shell's choice and only goes
/// forward: nothing of it is stored, and no clock that is set moves its deadlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    stage: Stage,
    generation: u64,
    in_flight: u32,
    deadline: Timestamp,
    idle_ms: u64,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was said yet.
    AwaitHello,
    /// Requests are served.
    Open,
    /// Open requests are answered, no more are taken.
    Draining,
    /// Over.
    Closed,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// Hello came, offering contract versions.
    Hello(&'a [String]),
    /// A request came.
    Request {
        /// The connector's number of it.
        id: u64,
    },
    /// A confirmation came.
    Confirm,
    /// The connector is about to close.
    Goodbye,
    /// A frame came that is none of these.
    Garbage,
    /// A request was answered and the answer handed to the stream.
    Answered,
    /// The kernel is stopping.
    Drain,
    /// A younger session of the same runtime took over.
    Replaced,
    /// The runtime was revoked.
    Revoked,
    /// Time passed.
    Tick,
}

impl Session {
    /// Begins with the accepted connection. `generation` is one above the runtime's last.
    #[must_use]
    pub fn new(generation: u64, grace_ms: u64, now: Timestamp) -> Self {
        Self {
            stage: Stage::AwaitHello,
            generation,
            in_flight: 0,
            deadline: now.plus_millis(HELLO_MS),
            idle_ms: grace_ms.max(IDLE_MS_MIN),
        }
    }

    /// Takes in what happened and says what to do, in order. After [`Effect::Close`] nothing more.
    pub fn handle(&mut self, input: &Input<'_>, now: Timestamp) -> Effects {
        match self.stage {
            Stage::AwaitHello => self.awaiting(input, now),
            Stage::Open => self.open(input, now),
            Stage::Draining => self.draining(input, now),
            Stage::Closed => Effects::NONE,
        }
    }

    /// The runtime was told another rhythm: silence is borne as long, beginning now.
    pub fn set_grace(&mut self, grace_ms: u64, now: Timestamp) {
        self.idle_ms = grace_ms.max(IDLE_MS_MIN);
        match self.stage {
            Stage::Open => self.heard(now),
            Stage::AwaitHello | Stage::Draining | Stage::Closed => {}
        }
    }

    /// When a [`Input::Tick`] is next worth giving.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        (self.stage != Stage::Closed).then_some(self.deadline)
    }

    /// Where it stands.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Its generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The largest frame that may come now.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        match self.stage {
            Stage::AwaitHello => FRAME_BYTES_MAX_BEFORE_WELCOME,
            Stage::Open | Stage::Draining | Stage::Closed => FRAME_BYTES_MAX,
        }
    }

    fn awaiting(&mut self, input: &Input<'_>, now: Timestamp) -> Effects {
        match input {
            Input::Hello(versions) => match ContractVersion::negotiate(versions) {
                Some(version) => {
                    self.stage = Stage::Open;
                    self.deadline = now.plus_millis(self.idle_ms);
                    Effects::one(Effect::Welcome {
                        version,
                        generation: self.generation,
                    })
                }
                None => self.reject(Code::VersionUnknown, Ending::VersionUnknown),
            },
            Input::Request { id } if planted("session_accepts_before_hello") => {
                Effects::one(Effect::Serve { id: *id })
            }
            Input::Request { .. } => self.reject(Code::Malformed, Ending::Violation),
            Input::Confirm | Input::Garbage => self.reject(Code::Malformed, Ending::Violation),
            Input::Goodbye => self.close(Ending::Goodbye),
            Input::Answered => Effects::NONE,
            Input::Drain => self.reject(Code::Draining, Ending::Drained),
            Input::Replaced => self.close(Ending::Replaced),
            Input::Revoked => self.reject(Code::RuntimeRevoked, Ending::Revoked),
            Input::Tick if now >= self.deadline => self.close(Ending::HelloLate),
            Input::Tick => Effects::NONE,
        }
    }

    fn open(&mut self, input: &Input<'_>, now: Timestamp) -> Effects {
        match input {
            Input::Request { id } => {
                self.heard(now);
                if self.in_flight >= IN_FLIGHT_MAX {
                    return Effects::one(Effect::Refuse {
                        id: *id,
                        code: Code::Overloaded,
                    });
                }
                self.in_flight += 1;
                Effects::one(Effect::Serve { id: *id })
            }
            Input::Confirm => {
                self.heard(now);
                Effects::one(Effect::Confirm)
            }
            Input::Hello(_) | Input::Garbage => self.reject(Code::Malformed, Ending::Violation),
            Input::Goodbye => self.close(Ending::Goodbye),
            Input::Answered => {
                self.in_flight = self.in_flight.saturating_sub(1);
                Effects::NONE
            }
            Input::Drain => {
                if self.in_flight == 0 {
                    return self.say_goodbye_and_close();
                }
                self.stage = Stage::Draining;
                self.deadline = now.plus_millis(DRAIN_MS);
                Effects::one(Effect::SayGoodbye)
            }
            Input::Replaced => self.close(Ending::Replaced),
            Input::Revoked => self.reject(Code::RuntimeRevoked, Ending::Revoked),
            Input::Tick if now >= self.deadline => self.close(Ending::Idle),
            Input::Tick => Effects::NONE,
        }
    }

    fn draining(&mut self, input: &Input<'_>, now: Timestamp) -> Effects {
        match input {
            Input::Request { id } if planted("session_serves_while_draining") => {
                Effects::one(Effect::Serve { id: *id })
            }
            Input::Request { id } => Effects::one(Effect::Refuse {
                id: *id,
                code: Code::Draining,
            }),
            Input::Confirm => Effects::one(Effect::Confirm),
            Input::Hello(_) | Input::Garbage => self.reject(Code::Malformed, Ending::Violation),
            Input::Goodbye => self.close(Ending::Goodbye),
            Input::Answered => {
                self.in_flight = self.in_flight.saturating_sub(1);
                if self.in_flight == 0 {
                    self.close(Ending::Drained)
                } else {
                    Effects::NONE
                }
            }
            Input::Drain => Effects::NONE,
            Input::Replaced => self.close(Ending::Replaced),
            Input::Revoked => self.reject(Code::RuntimeRevoked, Ending::Revoked),
            Input::Tick if now >= self.deadline => self.close(Ending::DrainLate),
            Input::Tick => Effects::NONE,
        }
    }

    fn heard(&mut self, now: Timestamp) {
        self.deadline = self.deadline.max(now.plus_millis(self.idle_ms));
    }

    fn close(&mut self, ending: Ending) -> Effects {
        self.stage = Stage::Closed;
        Effects::one(Effect::Close(ending))
    }

    fn reject(&mut self, code: Code, ending: Ending) -> Effects {
        self.stage = Stage::Closed;
        Effects::two(Effect::Reject(code), Effect::Close(ending))
    }

    fn say_goodbye_and_close(&mut self) -> Effects {
        self.stage = Stage::Closed;
        Effects::two(Effect::SayGoodbye, Effect::Close(Ending::Drained))
    }
}

/// Ten seconds after the handshake, also over a slow satellite link; a port scanner waits in vain.
pub const HELLO_MS: u64 = 10_000;

/// Silence is borne at least as long as the grace of a small fleet, nearly twice.
pub const IDLE_MS_MIN: u64 = 60_000;

/// Everything in flight is decided within a group commit or two; below systemd's stop timeout.
pub const DRAIN_MS: u64 = 5_000;

/// A Hello with all its capabilities takes a tenth of this.
pub const FRAME_BYTES_MAX_BEFORE_WELCOME: usize = 64 * 1_024;

/// The contract's largest frame: a batch of audit events of 1 MiB.
pub const FRAME_BYTES_MAX: usize = 1_024 * 1_024;
