//! One authority rotated out for another, under real handshakes.

use std::{path::Path, sync::Arc, time::Duration};

use provost_certs::{
    Alpn, Authority, ConnectError, EnrolTls, RUNTIME_TTL_MS, RootParts, RootSet, RuntimeTls,
    TlsPair, TrustBundle, kernel_certificate,
};
use tokio::io::AsyncReadExt;

use crate::world::{INSTALL, PATIENCE, World, issue, now, shown};

/// The next authority, with the old root's certificate for its key.
struct Next {
    authority: Arc<Authority>,
    cross: String,
}

impl Next {
    fn of(world: &World) -> Self {
        let dir = world.folder.path();
        let (next, cross) = world.authority.create_next(dir, now()).unwrap();
        Self {
            authority: Arc::new(next),
            cross,
        }
    }

    fn parts(&self, old: Option<&Authority>) -> RootSet {
        RootSet::new(RootParts {
            active: Arc::clone(&self.authority),
            prepared: None,
            old: old.map(Authority::root_pem),
            cross: Some(self.cross.clone()),
        })
        .unwrap()
    }

    fn activate(&self, world: &World) {
        let set = self.parts(Some(&world.authority));
        world.acceptor.take_roots(&set, now()).unwrap();
    }

    fn retire(&self, world: &World) {
        world.acceptor.take_roots(&self.parts(None), now()).unwrap();
    }

    fn pair(&self) -> TlsPair {
        issue(&self.authority, now(), RUNTIME_TTL_MS)
    }
}

fn tls(trusted: &[&Authority], pair: &TlsPair) -> RuntimeTls {
    let pem: String = trusted
        .iter()
        .map(|authority| authority.root_pem())
        .collect();
    let trust = TrustBundle::from_pem(&pem).unwrap();
    RuntimeTls::new(&trust, INSTALL.parse().unwrap(), pair, Alpn::Provost1).unwrap()
}

/// Whether a runtime with these roots and this pair is let in, and lets the kernel in.
async fn meets(world: &World, tls: &RuntimeTls) -> bool {
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    connected.is_ok() && accepted.is_ok()
}

#[tokio::test]
async fn runtimes_of_both_roots_are_let_in_until_the_old_one_is_retired() {
    let world = World::new().await;
    let next = Next::of(&world);
    let (old_pair, new_pair) = (world.pair(), next.pair());
    let both = [&*world.authority, &*next.authority];
    let (old, new) = (tls(&both, &old_pair), tls(&both, &new_pair));
    assert!(meets(&world, &old).await);
    assert!(!meets(&world, &new).await, "nothing is signed by it yet");
    next.activate(&world);
    assert!(meets(&world, &old).await);
    assert!(meets(&world, &new).await);
    next.retire(&world);
    assert!(!meets(&world, &old).await);
    assert!(meets(&world, &new).await);
}

#[tokio::test]
async fn who_was_away_throughout_and_believes_the_old_root_alone_finds_its_way() {
    let world = World::new().await;
    let next = Next::of(&world);
    let away = tls(&[&world.authority], &world.pair());
    next.activate(&world);
    assert!(meets(&world, &away).await);
    next.retire(&world);
    // Its own certificate is refused; the kernel it still knows, so that it can recover.
    let (connected, accepted) = tokio::join!(away.connect(&world.addr, PATIENCE), world.accept());
    let kernel = kernel_certificate(&connected.unwrap()).unwrap();
    assert!(accepted.is_err());
    // What the old root vouched for by the cross-certificate is told from what it did not.
    let issued = |authority: &Authority| {
        let bundle = TrustBundle::from_pem(&authority.root_pem()).unwrap();
        bundle.issued(&kernel)
    };
    assert!(issued(&next.authority));
    assert!(!issued(&world.authority), "not by itself");
    let other = World::new().await;
    assert!(!issued(&other.authority));
    let bundle = TrustBundle::from_pem(&next.authority.root_pem()).unwrap();
    assert!(!bundle.issued(&kernel[1..]), "no certificate");
}

#[tokio::test]
async fn a_client_without_our_rules_believes_the_old_root_and_the_new_one_alike() {
    let world = World::new().await;
    let next = Next::of(&world);
    let pair = world.pair();
    next.activate(&world);
    // Of the old root: what this client is made with.
    let old = world.raw_client(Some(&shown(&pair)));
    let (connected, accepted) = tokio::join!(world.raw_connect(old), world.accept());
    assert!(connected.is_ok() && accepted.is_ok(), "{connected:?}");
    let new = tls(&[&next.authority], &next.pair());
    assert!(meets(&world, &new).await);
}

#[tokio::test]
async fn who_believes_neither_root_is_not_fooled_by_the_longer_chain() {
    let world = World::new().await;
    let next = Next::of(&world);
    next.activate(&world);
    let folder = tempfile::tempdir().unwrap();
    let foreign = Authority::create(folder.path(), INSTALL.parse().unwrap(), now()).unwrap();
    let stranger = tls(&[&foreign], &world.pair());
    let (connected, _) = tokio::join!(stranger.connect(&world.addr, PATIENCE), world.accept());
    assert!(
        matches!(connected, Err(ConnectError::Kernel(_))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn a_token_that_names_the_old_root_serves_until_it_is_retired() {
    let world = World::new().await;
    let next = Next::of(&world);
    let old = EnrolTls::new(world.authority.root_sha256()).unwrap();
    let new = EnrolTls::new(next.authority.root_sha256()).unwrap();
    next.activate(&world);
    for token in [&old, &new] {
        let (made, _) = tokio::join!(token.connect(&world.addr, PATIENCE), world.accept());
        assert!(made.is_ok(), "{made:?}");
    }
    next.retire(&world);
    let (made, _) = tokio::join!(old.connect(&world.addr, PATIENCE), world.accept());
    assert!(made.is_err());
    let (made, _) = tokio::join!(new.connect(&world.addr, PATIENCE), world.accept());
    assert!(made.is_ok(), "{made:?}");
}

#[tokio::test]
async fn no_handshake_fails_and_no_connection_breaks_while_roots_are_exchanged() {
    let world = World::new().await;
    let next = Next::of(&world);
    let both = [&*world.authority, &*next.authority];
    let clients = [
        tls(&both, &world.pair()),
        tls(&[&world.authority], &world.pair()),
    ];
    let (opened, accepted) =
        tokio::join!(clients[0].connect(&world.addr, PATIENCE), world.accept());
    let (mut before, _kept) = (opened.unwrap(), accepted.unwrap());
    for number in 0..HANDSHAKES {
        // In the middle of a handshake, once this way and once back.
        let exchange = async {
            tokio::task::yield_now().await;
            if number % 2 == 0 {
                next.activate(&world);
            } else {
                let first = RootSet::single(Arc::clone(&world.authority)).unwrap();
                world.acceptor.take_roots(&first, now()).unwrap();
            }
        };
        let client = &clients[number / 2 % clients.len()];
        let (met, ()) = tokio::join!(meets(&world, client), exchange);
        assert!(met, "handshake {number}");
    }
    let silent = tokio::time::timeout(Duration::from_millis(1), before.read_u8()).await;
    assert!(silent.is_err(), "still open: {silent:?}");
}

#[test]
fn the_next_authority_is_found_by_its_root_and_the_first_one_still_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let first = Authority::create(dir, INSTALL.parse().unwrap(), now()).unwrap();
    let (next, cross) = first.create_next(dir, now()).unwrap();
    for authority in [&first, &next] {
        let root = hex::encode(authority.root_sha256());
        let found = Authority::find(dir, &root).unwrap();
        assert_eq!(found.root_sha256(), authority.root_sha256());
        assert_eq!(
            Authority::root_of(dir, &root).unwrap(),
            authority.root_pem()
        );
    }
    assert_eq!(next.cross_pem(dir).unwrap(), Some(cross));
    assert_eq!(first.cross_pem(dir).unwrap(), None);
    assert!(Authority::find(dir, &"ab".repeat(32)).is_err());
}

#[test]
fn what_no_event_speaks_of_is_swept_and_of_the_first_root_the_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let first = Authority::create(dir, INSTALL.parse().unwrap(), now()).unwrap();
    let (left_over, _) = first.create_next(dir, now()).unwrap();
    let (next, _) = first.create_next(dir, now()).unwrap();
    std::fs::write(dir.join("ca-notes.pem"), "mine").unwrap();
    let root = |authority: &Authority| hex::encode(authority.root_sha256());
    Authority::sweep_authorities(dir, &[root(&first), root(&next)]).unwrap();
    assert!(Authority::find(dir, &root(&left_over)).is_err());
    assert!(Authority::find(dir, &root(&first)).is_ok());
    Authority::sweep_authorities(dir, &[root(&next)]).unwrap();
    assert!(Authority::find(dir, &root(&first)).is_err());
    assert!(Authority::root_of(dir, &root(&first)).is_ok());
    assert!(!dir.join("ca.key").exists(), "the retired key is gone");
    assert!(Authority::find(dir, &root(&next)).is_ok());
    assert_eq!(
        names(dir),
        5,
        "root.pem, three of the next, and what is not ours"
    );
}

fn names(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Each client meets each exchange ten times.
const HANDSHAKES: usize = 40;
