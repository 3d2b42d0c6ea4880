//! Sessions and logins under way, in memory and bounded; a restart asks everybody to log in again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::accounts::Key;
use crate::secret::{Secret, random_token, sha256_base64url};

/// A logged-in person, scoped to their tenant.
#[derive(Debug)]
pub(crate) struct Session {
    /// The id events name it by; it opens nothing.
    pub(crate) id: Uuid,
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) csrf: String,
    begun: Instant,
    opened: Mutex<BTreeSet<String>>,
}

/// The sessions in force, by the digest of their cookie.
#[derive(Debug)]
pub(crate) struct Sessions {
    ttl: Duration,
    held: Mutex<HashMap<String, Arc<Session>>>,
}

/// A login sent to the issuer and not back yet.
#[derive(Debug)]
pub(crate) struct PendingLogin {
    pub(crate) nonce: String,
    pub(crate) verifier: Secret,
    /// The page asked for before the login.
    pub(crate) next: String,
    begun: Instant,
}

/// Logins under way, by their state.
#[derive(Debug, Default)]
pub(crate) struct PendingLogins(Mutex<HashMap<String, PendingLogin>>);

impl Session {
    /// Makes a session that is not in force yet.
    pub(crate) fn new(key: Key, name: String) -> Self {
        Self {
            id: Uuid::now_v7(),
            key,
            name,
            csrf: random_token(),
            begun: Instant::now(),
            opened: Mutex::default(),
        }
    }

    /// Whether this session has told the use of a course already.
    pub(crate) fn has_opened(&self, course: &str) -> bool {
        lock(&self.opened).contains(course)
    }

    /// Remembers that the use of a course was told.
    pub(crate) fn mark_opened(&self, course: &str) {
        lock(&self.opened).insert(course.to_owned());
    }
}

impl Sessions {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            held: Mutex::default(),
        }
    }

    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.held).len() < SESSIONS_MAX
    }

    /// Puts a session in force; answers the cookie, and the person's oldest session if it had to go.
    pub(crate) fn insert(&self, session: Session) -> (String, Option<Arc<Session>>) {
        let token = random_token();
        let mut held = lock(&self.held);
        let mut of_person: Vec<(&String, &Arc<Session>)> = held
            .iter()
            .filter(|(_, other)| other.key == session.key)
            .collect();
        of_person.sort_by_key(|(_, other)| other.begun);
        let oldest = (of_person.len() >= SESSIONS_EACH_MAX).then(|| of_person[0].0.clone());
        let gone = oldest.and_then(|digest| held.remove(&digest));
        held.insert(sha256_base64url(&token), Arc::new(session));
        (token, gone)
    }

    /// Finds the session of a cookie, unless it has expired.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<Session>> {
        let session = lock(&self.held).get(&sha256_base64url(token)).cloned()?;
        (session.begun.elapsed() < self.ttl).then_some(session)
    }

    /// Takes a session out of force; none when somebody else already did.
    pub(crate) fn take(&self, id: Uuid) -> Option<Arc<Session>> {
        let mut held = lock(&self.held);
        let digest = held
            .iter()
            .find(|(_, session)| session.id == id)
            .map(|(digest, _)| digest.clone())?;
        held.remove(&digest)
    }

    /// Takes those whose time is over.
    pub(crate) fn take_expired(&self) -> Vec<Arc<Session>> {
        let ttl = self.ttl;
        let expired = |_: &String, session: &mut Arc<Session>| session.begun.elapsed() >= ttl;
        lock(&self.held)
            .extract_if(expired)
            .map(|(_, session)| session)
            .collect()
    }

    /// Takes all of them.
    pub(crate) fn take_all(&self) -> Vec<Arc<Session>> {
        lock(&self.held)
            .drain()
            .map(|(_, session)| session)
            .collect()
    }

    /// Counts them.
    pub(crate) fn count(&self) -> usize {
        lock(&self.held).len()
    }
}

impl PendingLogin {
    pub(crate) fn new(next: String) -> Self {
        Self {
            nonce: random_token(),
            verifier: Secret::new(random_token()),
            next,
            begun: Instant::now(),
        }
    }
}

impl PendingLogins {
    /// Keeps a login under way, by a fresh state; the oldest makes room.
    pub(crate) fn insert(&self, login: PendingLogin) -> String {
        let state = random_token();
        let mut held = lock(&self.0);
        held.retain(|_, login| login.begun.elapsed() < LOGIN_MAX);
        if held.len() >= LOGINS_MAX
            && let Some(oldest) = held
                .iter()
                .min_by_key(|(_, login)| login.begun)
                .map(|(state, _)| state.clone())
        {
            held.remove(&oldest);
        }
        held.insert(state.clone(), login);
        state
    }

    /// Takes the login of a state, once.
    pub(crate) fn take(&self, state: &str) -> Option<PendingLogin> {
        lock(&self.0)
            .remove(state)
            .filter(|login| login.begun.elapsed() < LOGIN_MAX)
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// About 500 bytes each: 5 MB at most. Beyond it a login is told to try again; nobody is put out.
const SESSIONS_MAX: usize = 10_000;
/// A person's devices; the ninth login ends the oldest.
const SESSIONS_EACH_MAX: usize = 8;
/// Anybody can begin a login, so their number is bounded and the oldest goes.
const LOGINS_MAX: usize = 1_000;
/// Time to find a password.
const LOGIN_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            tenant: Uuid::now_v7(),
            identity: Uuid::now_v7(),
        }
    }

    #[test]
    fn the_ninth_session_of_a_person_ends_their_oldest_and_nobody_elses() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let (mine, theirs) = (key(), key());
        let (other, _) = sessions.insert(Session::new(theirs, String::new()));
        let (first, _) = sessions.insert(Session::new(mine, String::new()));
        for _ in 1..SESSIONS_EACH_MAX {
            assert!(
                sessions
                    .insert(Session::new(mine, String::new()))
                    .1
                    .is_none()
            );
        }
        let (_, gone) = sessions.insert(Session::new(mine, String::new()));
        assert_eq!(gone.unwrap().key, mine);
        assert!(sessions.find(&first).is_none());
        assert!(sessions.find(&other).is_some());
    }

    #[test]
    fn an_expired_session_opens_nothing_and_is_swept_once() {
        let sessions = Sessions::new(Duration::ZERO);
        let (token, _) = sessions.insert(Session::new(key(), String::new()));
        assert!(sessions.find(&token).is_none());
        assert_eq!(sessions.take_expired().len(), 1);
        assert_eq!(sessions.take_expired().len(), 0);
    }

    #[test]
    fn a_state_is_good_once_and_their_number_is_bounded() {
        let logins = PendingLogins::default();
        let first = logins.insert(PendingLogin::new("/".to_owned()));
        let second = logins.insert(PendingLogin::new("/".to_owned()));
        assert!(logins.take(&second).is_some());
        assert!(logins.take(&second).is_none());
        for _ in 0..LOGINS_MAX {
            logins.insert(PendingLogin::new("/".to_owned()));
        }
        assert!(logins.take(&first).is_none());
        assert_eq!(lock(&logins.0).len(), LOGINS_MAX);
    }
}
