//! Two living copies of one runtime, told from one that comes back. Volatile: a crash forgets who
//! was seen, and two copies that both live are seen again.
//!
//! A connector draws a nonce at its start and shows it in every Hello, with the generation of its
//! folder's last session. One runtime that reconnects shows the same nonce; one that was started
//! again shows a new nonce and never an earlier one. So a nonce that comes back after another one
//! proves two processes that both live. Generations say the same where the nonce cannot: in one
//! folder they grow along one line; who claims one that others have overtaken without ever hearing
//! of it has lived on beside them.
//!
//! Without a connector there is the runtime token: a copy that registers replaces it, and the other
//! copy goes on to show the one before. Where each registers as soon as it is refused they take
//! turns, and none shows an old token for long; but each time it is shown later than any call is
//! under way, which one process alone does not do again and again.
//!
//! Whoever recovers under a number that was used already is a copy, or was set back to a folder of
//! before. Only when the process that came last goes on after that, both live.

use provost_protocol::{Timestamp, event::Sighting};

/// Who came for one runtime of late.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// The latest stands last; each process once.
    seen: Vec<Seen>,
    /// Boxed, because who has a connector has none.
    token: Option<Box<Replaced>>,
    /// Who was refused a recovery after the latest came; boxed, because hardly anybody is.
    refused: Option<Box<Sighting>>,
}

/// A Hello, as far as it tells copies apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came<'a> {
    /// What the connector drew.
    pub nonce: [u8; 16],
    /// The generation of its last session, as it says.
    pub claimed: u64,
    /// The generation of the session that it is given.
    pub opened: u64,
    /// From where it came.
    pub address: &'a str,
    /// Serial number of its certificate.
    pub serial: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    nonce: [u8; 16],
    /// The generation that it claimed first.
    claimed: u64,
    /// With the generation that it was given last.
    sighting: Sighting,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Replaced {
    /// The token that was replaced, hashed; none before the second registration.
    before: Option<String>,
    newest: String,
    /// Who registered last.
    by: Sighting,
    /// When the one before was shown since, if it was.
    shown: Shown,
    /// Registrations up to this one before each of which a token was shown late.
    turns: u32,
}

/// How long after it was replaced a token was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Never,
    /// Perhaps by a call that was under way.
    Early,
    Late,
}

impl Copies {
    /// Takes in a Hello. Gives both copies where it proves that there are two.
    pub fn came(&mut self, came: &Came<'_>, now: Timestamp) -> Option<[Sighting; 2]> {
        let sighting = sighting(came.address, came.serial, came.opened, now);
        let same = self.seen.iter().position(|seen| seen.nonce == came.nonce);
        let back = match same {
            Some(index) => index + 1 < self.seen.len(),
            None => self.was_overtaken(came.claimed),
        };
        let latest = self.seen.last().filter(|_| back);
        let mut both = latest.map(|other| [other.sighting.clone(), sighting.clone()]);
        // A process that is new here may be the refused one itself, let in by an operator.
        let refused = self.refused.take().filter(|_| same.is_some());
        if let (None, Some(refused)) = (&both, refused) {
            both = Some([*refused, sighting.clone()]);
        }
        let before = same.map(|index| self.seen.remove(index));
        // Nearly all runtimes are one process, and there are many of them.
        self.seen.reserve_exact(1);
        self.seen.push(Seen {
            nonce: came.nonce,
            claimed: before.map_or(came.claimed, |before| before.claimed),
            sighting,
        });
        let surplus = self.seen.len().saturating_sub(SEEN_MAX);
        self.seen.drain(..surplus);
        both
    }

    /// Whether somebody who never heard of a generation came after it was given: who claims it now
    /// has lived on beside them. Whoever claims the one before it instead has lost a Welcome, or
    /// was set back; that proves nothing.
    fn was_overtaken(&self, claimed: u64) -> bool {
        let mut line = vec![claimed];
        let given = |seen: &Seen| seen.sighting.generation == claimed;
        let Some(index) = self.seen.iter().position(given) else {
            return false;
        };
        for later in &self.seen[index + 1..] {
            if !line.contains(&later.claimed) {
                return true;
            }
            line.push(later.sighting.generation);
        }
        false
    }

    /// Takes in a registration: its token replaces the one before.
    pub fn registered(&mut self, token_sha256: &str, from: (&str, &str), now: Timestamp) {
        let held = self.token.take();
        let turns = held.as_ref().map_or(0, |held| match held.shown {
            Shown::Never => 0,
            Shown::Early => held.turns,
            Shown::Late => held.turns.saturating_add(1),
        });
        self.token = Some(Box::new(Replaced {
            before: held.map(|held| held.newest),
            newest: token_sha256.to_owned(),
            by: sighting(from.0, from.1, 0, now),
            shown: Shown::Never,
            turns,
        }));
    }

    /// Takes in a call with a token that is not the newest. Gives both copies where it is the one
    /// before, still shown [`TOKEN_OVERLAP_MS`] after it was replaced, or late for the third time in
    /// a row.
    pub fn token_refused(
        &mut self,
        token_sha256: &str,
        from: (&str, &str),
        now: Timestamp,
    ) -> Option<[Sighting; 2]> {
        let held = self.token.as_mut()?;
        if held.before.as_deref() != Some(token_sha256) {
            return None;
        }
        let since = now.millis_since(held.by.seen);
        if since >= UNDER_WAY_MS {
            held.shown = Shown::Late;
        } else if held.shown == Shown::Never {
            held.shown = Shown::Early;
        }
        let in_turns = held.shown == Shown::Late && held.turns >= TURNS_MIN;
        let two = since >= TOKEN_OVERLAP_MS || in_turns;
        two.then(|| [held.by.clone(), sighting(from.0, from.1, 0, now)])
    }

    /// Takes in that a recovery was refused because its number was used already.
    pub fn recovery_refused(&mut self, address: &str, now: Timestamp) {
        // Before anybody came there is nobody to compare with.
        let anybody = !self.seen.is_empty();
        self.refused = anybody.then(|| Box::new(sighting(address, "", 0, now)));
    }

    /// Takes in a heartbeat. Gives both copies where somebody was refused a recovery and the
    /// process that came last goes on on its connection.
    pub fn beat(&mut self, address: &str, now: Timestamp) -> Option<[Sighting; 2]> {
        self.refused.as_ref()?;
        let last = &self.seen.last()?.sighting;
        if last.address != address {
            return None;
        }
        let last = Sighting {
            seen: now,
            ..last.clone()
        };
        self.refused.take().map(|refused| [*refused, last])
    }

    /// An operator says that there is one copy again: whoever was seen before proves nothing any
    /// more. Which token is the newest stays known, and who goes on with another is noticed.
    pub fn resolved(&mut self) {
        self.seen.clear();
        self.refused = None;
        if let Some(held) = &mut self.token {
            held.shown = Shown::Never;
            held.turns = 0;
        }
    }

    /// Whether [`beat`](Self::beat) is waited for.
    #[must_use]
    pub const fn awaits_beat(&self) -> bool {
        self.refused.is_some()
    }
}

fn sighting(address: &str, serial: &str, generation: u64, seen: Timestamp) -> Sighting {
    Sighting {
        address: address.to_owned(),
        serial: serial.to_owned(),
        generation,
        seen,
    }
}

/// Two copies and their restarts; older ones are forgotten, so that one runtime takes little room.
const SEEN_MAX: usize = 4;

/// A call may be under way while its own process registers again; a minute later none is.
pub const TOKEN_OVERLAP_MS: u64 = 60_000;

/// Nearly every call is answered within it; one process that registers and has a slower one under
/// way is late once.
pub const UNDER_WAY_MS: u64 = 5_000;

/// With the one that is shown now that is three in a row.
const TURNS_MIN: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// One copy of a data folder, and the process that uses it.
    #[derive(Debug, Clone, Copy)]
    struct Folder {
        generation: u64,
        process: u8,
        /// Draws a nonce for each Hello, as connectors once did.
        restless: bool,
    }

    struct Kernel {
        copies: Copies,
        generation: u64,
        nonces: u8,
    }

    impl Kernel {
        fn new() -> Self {
            let copies = Copies::default();
            Self {
                copies,
                generation: 0,
                nonces: 100,
            }
        }

        /// A session; its Welcome comes, or is lost.
        fn hello(&mut self, folder: &mut Folder, welcomed: bool) -> Option<[Sighting; 2]> {
            let opened = self.generation.max(folder.generation) + 1;
            self.nonces += 1;
            let nonce = if folder.restless {
                self.nonces
            } else {
                folder.process
            };
            let came = Came {
                nonce: [nonce; 16],
                claimed: folder.generation,
                opened,
                address: &format!("192.0.2.{}:1", folder.process),
                serial: "5a",
            };
            let now = Timestamp::from_millis(i64::try_from(opened).unwrap());
            let both = self.copies.came(&came, now);
            self.generation = opened;
            if welcomed {
                folder.generation = opened;
            }
            both
        }
    }

    fn folder(process: u8, restless: bool) -> Folder {
        Folder {
            generation: 0,
            process,
            restless,
        }
    }

    #[test]
    fn one_runtime_that_reconnects_is_never_a_clone() {
        for restless in [false, true] {
            let (mut kernel, mut only) = (Kernel::new(), folder(1, restless));
            for round in 0..50 {
                // Every third Welcome is lost on its way.
                assert_eq!(kernel.hello(&mut only, round % 3 != 0), None, "{round}");
            }
        }
    }

    #[test]
    fn one_runtime_that_is_started_again_is_never_a_clone() {
        for restless in [false, true] {
            let (mut kernel, mut only) = (Kernel::new(), folder(1, restless));
            for round in 0..50 {
                assert_eq!(kernel.hello(&mut only, round % 5 != 0), None, "{round}");
                only.process += u8::from(round % 2 == 0);
            }
        }
    }

    #[test]
    fn one_runtime_whose_folder_is_set_back_at_each_start_is_never_a_clone() {
        for restless in [false, true] {
            let mut kernel = Kernel::new();
            for process in 0..20 {
                let mut only = folder(process, restless);
                only.generation = 7;
                for _ in 0..3 {
                    assert_eq!(kernel.hello(&mut only, true), None, "{process}");
                }
            }
        }
    }

    #[test]
    fn a_runtime_that_cannot_write_down_its_generation_is_no_clone() {
        let (mut kernel, mut only) = (Kernel::new(), folder(1, true));
        only.generation = 7;
        for _ in 0..20 {
            assert_eq!(kernel.hello(&mut only, false), None);
        }
    }

    #[test]
    fn two_copies_are_both_named_as_soon_as_the_first_comes_back() {
        for restless in [false, true] {
            let mut kernel = Kernel::new();
            let mut one = folder(1, restless);
            assert_eq!(kernel.hello(&mut one, true), None);
            let mut other = Folder { process: 2, ..one };
            assert_eq!(kernel.hello(&mut one, true), None);
            assert_eq!(kernel.hello(&mut other, true), None, "perhaps a restart");
            let both = kernel.hello(&mut one, true).unwrap();
            let addresses = both.map(|sighting| sighting.address);
            assert_eq!(addresses, ["192.0.2.2:1", "192.0.2.1:1"]);
            assert!(kernel.hello(&mut other, true).is_some());
        }
    }

    #[test]
    fn a_copy_of_the_newest_folder_is_told_too() {
        let (mut kernel, mut one) = (Kernel::new(), folder(1, false));
        kernel.hello(&mut one, true);
        let mut other = Folder { process: 2, ..one };
        assert_eq!(kernel.hello(&mut other, true), None);
        assert!(kernel.hello(&mut one, true).is_some());
    }

    #[test]
    fn a_replaced_token_that_is_shown_for_long_is_another_copys() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let (one, other) = (("192.0.2.1:1", "5a"), ("192.0.2.2:1", "5a"));
        let mut copies = Copies::default();
        assert_eq!(copies.token_refused("a", one, at(0)), None, "never seen");
        copies.registered("a", one, at(0));
        copies.registered("b", other, at(100));
        assert_eq!(copies.token_refused("x", one, at(300)), None, "a guess");
        assert_eq!(copies.token_refused("a", one, at(130)), None, "under way");
        let both = copies.token_refused("a", one, at(200)).unwrap();
        assert_eq!(both.map(|sighting| sighting.address), [other.0, one.0]);
    }

    #[test]
    fn a_copy_that_goes_on_after_an_operator_resolved_it_is_told_again() {
        let (one, other) = (("192.0.2.1:1", "5a"), ("192.0.2.2:1", "5a"));
        let mut copies = Copies::default();
        copies.registered("a", one, at(0));
        copies.registered("b", other, at(100));
        assert!(copies.token_refused("a", one, at(200)).is_some());
        copies.resolved();
        assert!(copies.token_refused("a", one, at(300)).is_some());
        assert_eq!(
            copies.token_refused("b", other, at(300)),
            None,
            "the newest"
        );
    }

    #[test]
    fn two_copies_that_register_as_soon_as_they_are_refused_are_told_by_their_turns() {
        let mut copies = Copies::default();
        let addresses = ["192.0.2.1:1", "192.0.2.2:1"];
        copies.registered("0", (addresses[1], "5a"), at(0));
        let mut alarms = Vec::new();
        for round in 1..8_u32 {
            // Who beats every ten seconds shows its token five seconds after it was replaced.
            let (now, from) = (at(i64::from(round) * 5), addresses[round as usize % 2]);
            let stale = round.saturating_sub(2).to_string();
            if let Some(both) = copies.token_refused(&stale, (from, "5a"), now) {
                alarms.push((round, both.map(|sighting| sighting.address)));
            }
            copies.registered(&round.to_string(), (from, "5a"), now);
        }
        assert_eq!(alarms[0].0, 4, "{alarms:?}");
        assert_eq!(alarms[0].1, [addresses[1], addresses[0]]);
    }

    #[test]
    fn one_process_whose_threads_all_register_when_one_is_refused_is_no_clone() {
        let mut copies = Copies::default();
        let from = ("192.0.2.1:1", "5a");
        for round in 0..200_u32 {
            let now = at(i64::from(round));
            copies.registered(&round.to_string(), from, now);
            // Calls of the other threads are under way, and now and then one is slow.
            let slow = if round % 3 == 0 { 6 } else { 1 };
            let before = round.wrapping_sub(1).to_string();
            let shown = now.plus_millis(slow * 1_000);
            assert_eq!(copies.token_refused(&before, from, shown), None, "{round}");
            if round % 3 == 0 {
                // After the next registration nothing is slow.
                copies.registered("x", from, now);
            }
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn who_goes_on_after_another_was_refused_a_recovery_is_named_with_it() {
        let at = Timestamp::from_millis(100);
        let stranger = "192.0.2.9";
        for beats in [true, false] {
            let (mut kernel, mut one) = (Kernel::new(), folder(1, false));
            kernel.hello(&mut one, true);
            assert_eq!(kernel.copies.beat("192.0.2.1:1", at), None);
            kernel.copies.recovery_refused(stranger, at);
            let both = if beats {
                assert_eq!(kernel.copies.beat("192.0.2.9:7", at), None, "over HTTP");
                kernel.copies.beat("192.0.2.1:1", at)
            } else {
                kernel.hello(&mut one, true)
            };
            let addresses = both.unwrap().map(|sighting| sighting.address);
            assert_eq!(addresses, [stranger, "192.0.2.1:1"]);
            assert_eq!(kernel.copies.beat("192.0.2.1:1", at), None, "told once");
        }
    }

    #[test]
    fn a_runtime_that_was_set_back_and_let_in_by_an_operator_is_no_clone() {
        let at = Timestamp::from_millis(100);
        let (mut kernel, mut only) = (Kernel::new(), folder(1, false));
        kernel.copies.recovery_refused("192.0.2.1", at);
        assert_eq!(kernel.hello(&mut only, true), None, "nobody came before");
        kernel.copies.recovery_refused("192.0.2.1", at);
        only = folder(2, false);
        for _ in 0..3 {
            assert_eq!(kernel.hello(&mut only, true), None);
            assert_eq!(kernel.copies.beat("192.0.2.2:1", at), None);
        }
    }
}
