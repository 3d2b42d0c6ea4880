//! Which roots the connector believes: told by the kernel, kept on disk, then said back.
//!
//! The kernel names its bundle in every desired state. Another name than the one held is asked
//! about, at once; revisions do not matter here, for what is asked is answered with the present
//! bundle, whatever delayed word began it. A bundle is believed where its name fits its roots and
//! it shares a root with the one held: nobody's whole trust is exchanged in one step. Whoever was
//! off until the root it holds was retired shares none: there the root held has to vouch for one of
//! them, as it does by the cross-certificate where the kernel's own certificate, which this session's
//! handshake has led back to the root held, is signed by that one itself. A bundle is on disk
//! before the kernel hears of it, and every later handshake reads it from there.

use std::sync::{Arc, Mutex, PoisonError};

use provost_certs::{Keystore, KeystoreError, TrustBundle, TrustError};
use provost_protocol::wire::{self, Operation, Outcome};
use tokio::{
    sync::{Notify, watch},
    time::{Duration, sleep},
};
use tracing::{debug, error, info, warn};

use crate::{
    clock::up_to,
    link::LinkState,
    node::{Node, blocking},
};

/// Which roots are believed.
#[derive(Debug)]
pub(crate) struct Trust {
    store: Keystore,
    state: Mutex<State>,
    /// The kernel named another bundle than the one held.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    held: TrustBundle,
    /// The bundle that the kernel named last.
    named: Option<String>,
    /// Whether this session has said that it believes the bundle held.
    said: bool,
    /// The kernel's certificate as this session's handshake believed it.
    kernel: Option<Vec<u8>>,
}

/// Why a bundle is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustFault {
    /// It is none.
    #[error("the kernel's roots are malformed")]
    Malformed(#[from] TrustError),
    /// Its name is another's.
    #[error("the kernel's roots are not those of the name they came under")]
    Name,
    /// None of them is believed so far, and nobody who is vouches for one of them.
    #[error("none of the kernel's roots is among those trusted so far, or vouched for by one")]
    Strangers,
    /// It could not be kept.
    #[error("the roots could not be kept")]
    Store(#[from] KeystoreError),
}

/// What follows from a name that the kernel used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// Nothing.
    Known,
    /// It is to be said that it is believed.
    Say,
    /// It is to be asked about; whoever waits for that has been woken.
    Ask,
}

impl Trust {
    /// Begins with what lies on disk.
    pub(crate) fn new(store: Keystore, held: TrustBundle) -> Self {
        let state = State {
            held,
            named: None,
            said: false,
            kernel: None,
        };
        Self {
            store,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Takes in the name of the kernel's bundle.
    pub(crate) fn named(&self, id: &str) -> Named {
        // A kernel that knows no rotation names its root in another form, and cannot be asked.
        if id.len() != NAME_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Named::Known;
        }
        let mut state = self.lock();
        if state.named.as_deref() != Some(id) {
            state.named = Some(id.to_owned());
        }
        if state.held.id() != id {
            self.changed.notify_one();
            return Named::Ask;
        }
        if state.is_to_be_said() {
            Named::Say
        } else {
            Named::Known
        }
    }

    /// What this session is to say, once.
    pub(crate) fn take_word(&self) -> Option<wire::Trusts> {
        let mut state = self.lock();
        if !state.is_to_be_said() {
            return None;
        }
        state.said = true;
        let bundle = state.held.id();
        Some(wire::Trusts { bundle })
    }

    /// A handshake has believed the kernel's certificate.
    pub(crate) fn connected(&self, kernel: Option<Vec<u8>>) {
        self.lock().kernel = kernel;
    }

    /// The stream was lost: what was said on it may not have come.
    pub(crate) fn disconnected(&self) {
        let mut state = self.lock();
        state.said = false;
        state.kernel = None;
    }

    fn is_wanted(&self) -> bool {
        let state = self.lock();
        state
            .named
            .as_ref()
            .is_some_and(|named| *named != state.held.id())
    }

    /// Judges a bundle and keeps it; blocks on the disk. Says whether it is another than was held.
    fn take(&self, answer: &wire::TrustBundle) -> Result<bool, TrustFault> {
        if answer.roots.len() > ROOTS_MAX {
            return Err(TrustFault::Malformed(TrustError));
        }
        let bundle = TrustBundle::from_roots(&answer.roots)?;
        let id = bundle.id();
        if id != answer.id {
            return Err(TrustFault::Name);
        }
        let (held, kernel) = {
            let state = self.lock();
            (state.held.clone(), state.kernel.clone())
        };
        let news = held.id() != id;
        if news {
            let vouched_for = || kernel.is_some_and(|kernel| bundle.issued(&kernel));
            if !bundle.shares_a_root_with(&held) && !vouched_for() {
                return Err(TrustFault::Strangers);
            }
            self.store.save_trust(&bundle)?;
        }
        let mut state = self.lock();
        state.said &= !news;
        state.held = bundle;
        state.named = Some(id);
        Ok(news)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The kernel counts who believes a bundle only while there is more than one root in it.
    fn is_to_be_said(&self) -> bool {
        !self.said
            && self.held.roots() > 1
            && self
                .named
                .as_ref()
                .is_some_and(|named| *named == self.held.id())
    }
}

/// Fetches the kernel's bundle whenever it is another than the one held; ends with the link's task.
pub(crate) async fn keep_trust(node: Arc<Node>, mut link: watch::Receiver<LinkState>) {
    let trust = &node.core.trust;
    loop {
        if link.wait_for(LinkState::is_up).await.is_err() {
            return;
        }
        if !trust.is_wanted() {
            tokio::select! {
                () = trust.changed.notified() => {}
                gone = link.wait_for(|state| !state.is_up()) => if gone.is_err() { return },
            }
            continue;
        }
        if !node.fetch_trust().await {
            sleep(AGAIN_AFTER + up_to(AGAIN_AFTER)).await;
        }
    }
}

impl Node {
    /// Asks which roots to trust; says whether that is settled.
    async fn fetch_trust(self: &Arc<Self>) -> bool {
        let asked = self
            .link
            .call(
                self.core.me.tenant,
                self.correlation(),
                Operation::TrustBundle,
            )
            .await;
        let answer = match asked {
            Ok(Outcome::TrustBundle(answer)) => answer,
            Ok(Outcome::Refused(problem)) => {
                warn!(code = %problem.code, "the kernel does not say which roots to trust");
                return false;
            }
            Ok(_) => {
                warn!("the kernel answered something else than its roots");
                return false;
            }
            Err(failure) => {
                debug!(%failure, "the kernel's roots could not be asked for");
                return false;
            }
        };
        let (core, roots) = (Arc::clone(&self.core), answer.roots.len());
        let taken = blocking(move || core.trust.take(&answer)).await;
        match taken {
            Ok(Ok(news)) => {
                if news {
                    info!(roots, "other roots are trusted from the next handshake on");
                }
                self.core.confirm.notify_one();
                true
            }
            Ok(Err(fault)) => {
                error!(
                    error = &fault as &dyn std::error::Error,
                    "the kernel's roots are not believed; those held stay"
                );
                false
            }
            Err(problem) => {
                error!(code = %problem.code, "the kernel's roots could not be taken in");
                false
            }
        }
    }
}

/// A SHA-256 in hex.
const NAME_DIGITS: usize = 64;

/// A rotation has two roots at once; anything beyond a handful is no rotation.
const ROOTS_MAX: usize = 8;

/// What failed once is tried again at about the rhythm of heartbeats.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use provost_certs::Authority;
    use provost_protocol::Timestamp;

    use super::*;
    use crate::testing::install;

    fn root() -> String {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_795_325_728_000);
        Authority::create(dir.path(), install(), now)
            .unwrap()
            .root_pem()
    }

    fn trust(dir: &std::path::Path, root: &str) -> Trust {
        let store = Keystore::open(dir).unwrap();
        let held = TrustBundle::from_pem(root).unwrap();
        store.save_trust(&held).unwrap();
        Trust::new(store, held)
    }

    fn answer(roots: &[&String]) -> wire::TrustBundle {
        let roots: Vec<String> = roots.iter().map(|root| (*root).clone()).collect();
        let id = TrustBundle::from_roots(&roots).unwrap().id();
        wire::TrustBundle { id, roots }
    }

    #[test]
    fn a_bundle_that_shares_a_root_is_kept_and_then_said_once_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (root(), root());
        let trust = trust(dir.path(), &a);
        let both = answer(&[&a, &b]);
        assert_eq!(trust.take_word(), None);
        assert_eq!(trust.named(&both.id), Named::Ask);
        assert!(trust.take(&both).unwrap());
        assert_eq!(trust.store.trust().unwrap().id(), both.id, "on disk first");
        let word = trust.take_word().unwrap();
        assert_eq!(word.bundle, both.id);
        assert_eq!(trust.take_word(), None, "once");
        assert_eq!(trust.named(&both.id), Named::Known);
        trust.disconnected();
        assert_eq!(trust.named(&both.id), Named::Say);
        assert!(trust.take_word().is_some());
    }

    #[test]
    fn one_root_alone_needs_no_word() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (root(), root());
        let trust = trust(dir.path(), &a);
        trust.take(&answer(&[&a, &b])).unwrap();
        let new = answer(&[&b]);
        assert_eq!(trust.named(&new.id), Named::Ask);
        assert!(trust.take(&new).unwrap());
        assert_eq!(trust.take_word(), None);
    }

    #[test]
    fn strangers_and_false_names_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (root(), root());
        let trust = trust(dir.path(), &a);
        let strangers = trust.take(&answer(&[&b])).unwrap_err();
        assert!(matches!(strangers, TrustFault::Strangers), "{strangers:?}");
        let mut renamed = answer(&[&a, &b]);
        renamed.id = "ab".repeat(32);
        assert!(matches!(trust.take(&renamed), Err(TrustFault::Name)));
        let mut many = answer(&[&a, &b]);
        many.roots = vec![b; ROOTS_MAX + 1];
        assert!(matches!(trust.take(&many), Err(TrustFault::Malformed(_))));
        let on_disk = trust.store.trust().unwrap();
        assert_eq!(on_disk.id(), TrustBundle::from_pem(&a).unwrap().id());
    }

    #[test]
    fn a_kernel_that_names_no_hash_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let trust = trust(dir.path(), &root());
        assert_eq!(trust.named("root-1"), Named::Known);
        assert!(!trust.is_wanted());
    }

    #[test]
    fn a_late_word_of_the_bundle_before_is_settled_by_the_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (root(), root());
        let trust = trust(dir.path(), &a);
        let (one, both) = (answer(&[&a]), answer(&[&a, &b]));
        trust.named(&both.id);
        trust.take(&both).unwrap();
        assert_eq!(trust.named(&one.id), Named::Ask, "a delayed directive");
        assert!(!trust.take(&both).unwrap(), "the kernel says what is now");
        assert!(!trust.is_wanted());
    }
}
