//! The connector's own state for one tenant: `online → degraded → grace → locked`. Pure.
//!
//! ```text
//! online     the link is up: the kernel can be asked
//! degraded   the link is down, the license is in force
//! grace      the link is down, the license has ended, its grace has not
//! locked     the link is down, and there is no license to act on
//! ```

use std::fmt;

use provost_protocol::{
    Timestamp,
    license::{LicenseDocument, Verdict},
};
use serde::{Deserialize, Serialize};

/// Where the connector stands for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The link is up.
    Online,
    /// The link is down; the license is in force.
    Degraded,
    /// The link is down; the license has ended, its grace has not.
    Grace,
    /// The link is down, and there is no license to act on.
    Locked,
}

/// A mode, and when time alone changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The mode.
    pub mode: Mode,
    /// What follows, and when; nothing while online or locked.
    pub next: Option<(Mode, Timestamp)>,
}

/// A change of mode: one audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The mode before.
    pub from: Mode,
    /// The mode from here on.
    pub to: Mode,
}

/// Remembers the mode last observed. Volatile: a start observes anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    last: Option<Mode>,
}

impl Mode {
    /// The word in events, answers and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Grace => "grace",
            Self::Locked => "locked",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Standing {
    /// Says where a tenant stands. `now` is the highest time known to have passed.
    #[must_use]
    pub fn of(link_up: bool, license: Option<&LicenseDocument>, now: Timestamp) -> Self {
        if link_up {
            return Self {
                mode: Mode::Online,
                next: None,
            };
        }
        let Some(license) = license else {
            return Self::LOCKED;
        };
        match license.standing(now) {
            (Verdict::Valid, until) => {
                let follows = if license.grace_ms == 0 {
                    Mode::Locked
                } else {
                    Mode::Grace
                };
                Self {
                    mode: Mode::Degraded,
                    next: until.map(|at| (follows, at)),
                }
            }
            (Verdict::InGrace, until) => Self {
                mode: Mode::Grace,
                next: until.map(|at| (Mode::Locked, at)),
            },
            (Verdict::NotYetValid, until) => Self {
                mode: Mode::Locked,
                next: until.map(|at| (Mode::Degraded, at)),
            },
            // The others are refusals, and what is refused is not held.
            _ => Self::LOCKED,
        }
    }

    /// Milliseconds until the next mode.
    #[must_use]
    pub fn countdown_ms(&self, now: Timestamp) -> Option<u64> {
        self.next.map(|(_, at)| at.millis_since(now))
    }

    const LOCKED: Self = Self {
        mode: Mode::Locked,
        next: None,
    };
}

impl Machine {
    /// Takes in where the tenant stands; gives the transition where that is news. A first look
    /// that finds the link up is no news.
    pub fn observe(&mut self, mode: Mode) -> Option<Transition> {
        let from = self.last.replace(mode).unwrap_or(Mode::Online);
        (from != mode).then_some(Transition { from, to: mode })
    }

    /// The mode last observed.
    #[must_use]
    pub const fn last(&self) -> Option<Mode> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{DAY_MS, document};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_tenant_goes_from_degraded_over_grace_to_locked_with_a_countdown() {
        // In force from 0 to 1,000, in grace to 3,000.
        let license = document(at(0), 1_000, 2_000);
        for (now, mode, next, left) in [
            (-1, Mode::Locked, Some(Mode::Degraded), Some(1)),
            (0, Mode::Degraded, Some(Mode::Grace), Some(1_000)),
            (999, Mode::Degraded, Some(Mode::Grace), Some(1)),
            (1_000, Mode::Grace, Some(Mode::Locked), Some(2_000)),
            (2_999, Mode::Grace, Some(Mode::Locked), Some(1)),
            (3_000, Mode::Locked, None, None),
        ] {
            let standing = Standing::of(false, Some(&license), at(now));
            assert_eq!(standing.mode, mode, "at {now}");
            assert_eq!(standing.next.map(|(next, _)| next), next, "at {now}");
            assert_eq!(standing.countdown_ms(at(now)), left, "at {now}");
            assert_eq!(
                Standing::of(true, Some(&license), at(now)).mode,
                Mode::Online
            );
        }
        assert_eq!(Standing::of(false, None, at(0)).mode, Mode::Locked);
    }

    #[test]
    fn without_grace_locked_follows_degraded() {
        let license = document(at(0), 1_000, 0);
        let standing = Standing::of(false, Some(&license), at(0));
        assert_eq!(standing.next, Some((Mode::Locked, at(1_000))));
        assert_eq!(
            Standing::of(false, Some(&license), at(1_000)).mode,
            Mode::Locked
        );
    }

    #[test]
    fn a_first_look_that_finds_the_link_up_is_no_news() {
        let mut machine = Machine::default();
        assert_eq!(machine.observe(Mode::Online), None);
        let mut machine = Machine::default();
        let down = machine.observe(Mode::Degraded);
        assert_eq!(
            down,
            Some(Transition {
                from: Mode::Online,
                to: Mode::Degraded
            })
        );
        assert_eq!(machine.observe(Mode::Degraded), None);
    }

    proptest! {
        #[test]
        fn offline_time_only_goes_towards_locked(
            life in 0..DAY_MS, grace in 0..DAY_MS, mut moments in prop::collection::vec(0_i64..200_000_000, 1..20),
        ) {
            moments.sort_unstable();
            let license = document(at(0), life, grace);
            let modes: Vec<_> = moments
                .iter()
                .map(|&moment| Standing::of(false, Some(&license), at(moment)).mode)
                .collect();
            prop_assert!(modes.is_sorted(), "{modes:?}");
            for (&moment, mode) in moments.iter().zip(&modes) {
                let standing = Standing::of(false, Some(&license), at(moment));
                if let Some((next, then)) = standing.next {
                    prop_assert!(then > at(moment) && next > *mode);
                    prop_assert_eq!(Standing::of(false, Some(&license), then).mode, next);
                }
            }
        }
    }
}
