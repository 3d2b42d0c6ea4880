//! Logins under way and codes given out, in memory, bounded, each good once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::secret::random_token;

/// What the client asked for, checked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) challenge: String,
}

/// A login form shown and not completed.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) request: Request,
    /// Ties the form to the browser it was shown in.
    pub(super) csrf: String,
    begun: Instant,
}

/// A code given out and not exchanged.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) request: Request,
    pub(super) sub: Uuid,
    begun: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Codes {
    pending: Mutex<HashMap<String, Pending>>,
    grants: Mutex<HashMap<String, Grant>>,
}

impl Codes {
    /// Keeps a request while its login form is open; answers the form's id and CSRF token.
    pub(super) fn begin(&self, request: Request) -> (String, String) {
        let (id, csrf) = (random_token(), random_token());
        let pending = Pending {
            request,
            csrf: csrf.clone(),
            begun: Instant::now(),
        };
        insert(
            &mut lock(&self.pending),
            id.clone(),
            pending,
            (PENDING_MAX, PENDING_LIFE),
        );
        (id, csrf)
    }

    /// Looks at an open form; a wrong password leaves it open.
    pub(super) fn pending(&self, id: &str) -> Option<Pending> {
        lock(&self.pending)
            .get(id)
            .filter(|held| held.begun.elapsed() < PENDING_LIFE)
            .cloned()
    }

    /// Turns an open form into a code, once.
    pub(super) fn grant(&self, id: &str, sub: Uuid) -> Option<(Request, String)> {
        let request = lock(&self.pending).remove(id)?.request;
        let code = random_token();
        let grant = Grant {
            request: request.clone(),
            sub,
            begun: Instant::now(),
        };
        insert(
            &mut lock(&self.grants),
            code.clone(),
            grant,
            (GRANTS_MAX, GRANT_LIFE),
        );
        Some((request, code))
    }

    /// Takes a code; whatever comes of it, the code is used.
    pub(super) fn redeem(&self, code: &str) -> Option<Grant> {
        lock(&self.grants)
            .remove(code)
            .filter(|grant| grant.begun.elapsed() < GRANT_LIFE)
    }
}

trait Aged {
    fn begun(&self) -> Instant;
}

impl Aged for Pending {
    fn begun(&self) -> Instant {
        self.begun
    }
}

impl Aged for Grant {
    fn begun(&self) -> Instant {
        self.begun
    }
}

fn insert<T: Aged>(held: &mut HashMap<String, T>, id: String, value: T, bound: (usize, Duration)) {
    let (most, life) = bound;
    held.retain(|_, value| value.begun().elapsed() < life);
    if held.len() >= most
        && let Some(oldest) = held
            .iter()
            .min_by_key(|(_, value)| value.begun())
            .map(|(id, _)| id.clone())
    {
        held.remove(&oldest);
    }
    held.insert(id, value);
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Anybody can open the form, so the oldest makes room.
const PENDING_MAX: usize = 1_000;
/// Time to find a password.
const PENDING_LIFE: Duration = Duration::from_secs(600);
/// Only a right password makes one.
const GRANTS_MAX: usize = 1_000;
/// The browser carries it to the client at once.
const GRANT_LIFE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            challenge: "c".to_owned(),
        }
    }

    #[test]
    fn a_form_makes_one_code_and_a_code_is_good_once() {
        let codes = Codes::default();
        let (id, _) = codes.begin(request());
        let (_, code) = codes.grant(&id, Uuid::now_v7()).unwrap();
        assert!(codes.grant(&id, Uuid::now_v7()).is_none());
        assert!(codes.redeem(&code).is_some());
        assert!(codes.redeem(&code).is_none());
    }

    #[test]
    fn a_code_is_dead_after_its_minute() {
        let codes = Codes::default();
        let (id, _) = codes.begin(request());
        let (_, code) = codes.grant(&id, Uuid::now_v7()).unwrap();
        let long_ago = Instant::now().checked_sub(GRANT_LIFE).unwrap();
        lock(&codes.grants).get_mut(&code).unwrap().begun = long_ago;
        assert!(codes.redeem(&code).is_none());
    }

    #[test]
    fn open_forms_are_bounded() {
        let codes = Codes::default();
        let (first, _) = codes.begin(request());
        for _ in 0..PENDING_MAX {
            codes.begin(request());
        }
        assert!(codes.pending(&first).is_none());
        assert_eq!(lock(&codes.pending).len(), PENDING_MAX);
    }
}
