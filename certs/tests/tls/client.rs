//! Whom a runtime takes for its kernel.

use std::{sync::Arc, time::Duration};

use provost_certs::{
    Acceptor, AcceptorSettings, Alpn, Authority, CertificateFault, Certificates, ConnectError,
    EnrolTls, RuntimeTls, TrustBundle,
};
use provost_protocol::Timestamp;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::{ServerConfig, pki_types::CertificateDer, pki_types::pem::PemObject};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::{
    Forged, INSTALL, OTHER, PATIENCE, World, issue, kernel_name, now, provider, runtime_name, shown,
};

/// A server that shows any certificate, with the world's root behind it, and asks for none.
async fn impostor(world: &World, forged: Forged) -> (String, tokio::task::JoinHandle<()>) {
    let root = CertificateDer::from_pem_slice(world.authority.root_pem().as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![forged.der, root], forged.key)
        .unwrap();
    config.alpn_protocols = vec![b"provost/1".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let task = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // Whether it succeeds is the client's affair.
            let _ended = acceptor.accept(tcp).await;
        }
    });
    (addr, task)
}

#[tokio::test]
async fn nobody_but_the_kernel_is_taken_for_the_kernel() {
    let world = World::new().await;
    let pair = world.pair();
    let both = [ClientAuth, ServerAuth];
    let kernel = kernel_name(INSTALL);
    for (name, forged, fault, enrolling) in [
        (
            "a runtime",
            shown(&world.pair()),
            Some(CertificateFault::Purpose),
            None,
        ),
        (
            "a runtime that may serve",
            world.forge(&[runtime_name(INSTALL)], &both),
            Some(CertificateFault::WrongRole),
            None,
        ),
        (
            "two names",
            world.forge(&[kernel.clone(), runtime_name(INSTALL)], &both),
            Some(CertificateFault::ManyNames),
            None,
        ),
        (
            "no name",
            world.forge(&[], &both),
            Some(CertificateFault::Nameless),
            None,
        ),
        (
            "the kernel's name, for clients only",
            world.forge(std::slice::from_ref(&kernel), &[ClientAuth]),
            Some(CertificateFault::Purpose),
            None,
        ),
        (
            "the kernel of another installation",
            world.forge(&[kernel_name(OTHER)], &both),
            Some(CertificateFault::OtherInstall),
            // The token names a root, not an installation: what the root vouches for is right.
            Some(OTHER),
        ),
        (
            "the kernel",
            world.forge(&[kernel], &[ServerAuth]),
            None,
            Some(INSTALL),
        ),
    ] {
        let (addr, task) = impostor(&world, forged).await;
        let connected = world.runtime_tls(&pair).connect(&addr, PATIENCE).await;
        match (connected, fault) {
            (Ok(_), None) => {}
            (Err(ConnectError::Kernel(found)), Some(fault)) => assert_eq!(found, fault, "{name}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
        let enrol = EnrolTls::new(world.authority.root_sha256()).unwrap();
        match (enrol.connect(&addr, PATIENCE).await, enrolling) {
            (Ok((_, contact)), Some(install)) => {
                assert_eq!(contact.install.to_string(), install, "{name}");
            }
            (Err(ConnectError::Kernel(found)), None) => assert_eq!(Some(found), fault, "{name}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
        task.abort();
    }
}

#[tokio::test]
async fn a_kernel_of_another_authority_is_refused_even_with_the_right_name() {
    let (world, other) = (World::new().await, World::new().await);
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    let (connected, _) = tokio::join!(tls.connect(&other.addr, PATIENCE), other.accept());
    let refused = connected.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Kernel(CertificateFault::UnknownAuthority)
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn first_contact_reaches_the_kernel_whose_root_the_token_names() {
    let world = World::new().await;
    let enrol = EnrolTls::new(world.authority.root_sha256()).unwrap();
    let (connected, accepted) = tokio::join!(enrol.connect(&world.addr, PATIENCE), world.accept());
    let (_stream, contact) = connected.unwrap();
    assert_eq!(contact.install, world.install());
    assert_eq!(contact.root_pem, world.authority.root_pem());
    let accepted = accepted.unwrap();
    assert_eq!((accepted.identity, accepted.alpn), (None, Alpn::Http11));
}

#[tokio::test]
async fn first_contact_with_another_root_or_a_leaf_as_its_root_is_refused() {
    let world = World::new().await;
    let leaf = world.forge(&[kernel_name(INSTALL)], &[ServerAuth]);
    let leaf_sha256: [u8; 32] = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf.der)
        .as_ref()
        .try_into()
        .unwrap();
    let (addr, task) = impostor(&world, leaf).await;
    for pin in [[0; 32], leaf_sha256] {
        let refused = EnrolTls::new(pin)
            .unwrap()
            .connect(&addr, PATIENCE)
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                ConnectError::Kernel(CertificateFault::RootNotPinned)
            ),
            "{refused:?}"
        );
    }
    task.abort();
}

#[tokio::test]
async fn a_root_that_is_shown_but_did_not_sign_the_leaf_proves_nothing() {
    let (world, foreign) = (World::new().await, World::new().await);
    // The chain: a leaf of a foreign authority, then the root that the token names.
    let forged = foreign.forge(&[kernel_name(INSTALL)], &[ServerAuth]);
    let (addr, task) = impostor(&world, forged).await;
    let enrol = EnrolTls::new(world.authority.root_sha256()).unwrap();
    let refused = enrol.connect(&addr, PATIENCE).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Kernel(CertificateFault::UnknownAuthority)
        ),
        "{refused:?}"
    );
    task.abort();
}

#[tokio::test]
async fn a_bundle_of_two_roots_reaches_the_kernel_of_either() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let next = Authority::create(folder.path(), INSTALL.parse().unwrap(), now()).unwrap();
    let next = Arc::new(next);
    let bundle = format!("{}{}", next.root_pem(), world.authority.root_pem());
    let trust = TrustBundle::from_pem(&bundle).unwrap();
    assert_eq!(trust.roots(), 2);
    let pair = world.pair();
    let tls = RuntimeTls::new(&trust, world.install(), &pair, Alpn::H2).unwrap();
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    connected.unwrap();
    assert_eq!(accepted.unwrap().alpn, Alpn::H2);

    let settings = AcceptorSettings {
        authority: Arc::clone(&next),
        names: vec!["localhost".to_owned()],
        standing: Arc::new(Certificates::new()),
        handshake_deadline: PATIENCE,
    };
    let acceptor = Acceptor::new(settings, now()).unwrap();
    let pair = issue(&next, now(), 3_600_000);
    let tls = RuntimeTls::new(&trust, next.install(), &pair, Alpn::H2).unwrap();
    let accept = async {
        acceptor
            .accept(world.listener.accept().await.unwrap().0)
            .await
    };
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), accept);
    connected.unwrap();
    assert!(accepted.unwrap().identity.is_some());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let world = World::new().await;
    let pair = world.pair();
    let deadline = Duration::from_millis(50);
    // The listener's backlog takes the connection; nobody speaks.
    let refused = world
        .runtime_tls(&pair)
        .connect(&world.addr, deadline)
        .await
        .unwrap_err();
    assert!(matches!(refused, ConnectError::Deadline { deadline: d } if d == deadline));
}

#[tokio::test]
async fn nobody_there_and_no_address_are_told_apart() {
    let world = World::new().await;
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    drop(world.listener);
    let refused = tls.connect(&world.addr, PATIENCE).await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::Unreachable(_)),
        "{refused:?}"
    );
    let refused = tls.connect("kernel", PATIENCE).await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::Address { .. }),
        "{refused:?}"
    );
}

#[test]
fn what_is_no_bundle_of_roots_is_refused() {
    for text in [
        "",
        "rubbish",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(TrustBundle::from_pem(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_kernels_certificate_is_judged_no_earlier_than_at_a_moment_that_has_passed() {
    let world = World::new().await;
    let tls = world.runtime_tls(&world.pair());
    // The local clock is never behind what has passed already: here it is right.
    let early = tls.clone().not_earlier_than(Timestamp::EPOCH);
    let (connected, accepted) = tokio::join!(early.connect(&world.addr, PATIENCE), world.accept());
    connected.unwrap();
    accepted.unwrap();

    let late = tls.not_earlier_than(now().plus_millis(2 * 24 * 3_600_000));
    let (connected, _) = tokio::join!(late.connect(&world.addr, PATIENCE), world.accept());
    let refused = connected.unwrap_err();
    assert!(
        matches!(refused, ConnectError::Kernel(CertificateFault::Expired)),
        "{refused:?}"
    );
}
