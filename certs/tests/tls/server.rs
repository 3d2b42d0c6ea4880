//! What the acceptor lets in.

use std::{io::ErrorKind, time::Duration};

use provost_certs::{
    AcceptError, Acceptor, AcceptorSettings, Alpn, Authority, Blame, CertificateFault,
    refused_certificate,
};
use provost_protocol::sign::{PeerIdentity, Standing};
use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{
    Forged, INSTALL, OTHER, PATIENCE, World, forge, forge_below, issue, kernel_name, now,
    runtime_name, shown, subject,
};

#[tokio::test]
async fn a_runtime_is_known_by_its_certificate() {
    let world = World::new().await;
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    let (connected, accepted) = (connected.unwrap(), accepted.unwrap());

    let peer = accepted.identity.unwrap();
    assert_eq!((peer.tenant, peer.runtime), subject());
    // What the certificate says, and what the handshake found besides.
    let root_sha256 = Some(world.authority.root_sha256());
    let named = pair.identity().clone();
    assert_eq!(
        peer,
        PeerIdentity {
            root_sha256,
            ..named
        }
    );
    assert_eq!(accepted.alpn, Alpn::Provost1);
    assert_eq!(
        accepted.peer_addr,
        connected.get_ref().0.local_addr().unwrap()
    );
    let session = accepted.stream.session();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(world.standing.check(&peer, now()), Ok(()));
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_nobody_but_is_let_in() {
    let world = World::new().await;
    let client = world.raw_connect(world.raw_client(None));
    let (connected, accepted) = tokio::join!(client, world.accept());
    connected.unwrap();
    let accepted = accepted.unwrap();
    assert_eq!(accepted.identity, None);
    assert_eq!(accepted.alpn, Alpn::Http11, "no ALPN is HTTP/1.1");
}

#[tokio::test]
async fn alpn_decides_what_is_spoken() {
    let world = World::new().await;
    for (offered, expected) in [
        (vec!["h2", "http/1.1"], Some(Alpn::H2)),
        (vec!["http/1.1"], Some(Alpn::Http11)),
        (vec!["http/1.1", "provost/1"], Some(Alpn::Provost1)),
        (vec!["provost/9"], None),
    ] {
        let mut config = world.raw_client(None);
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let (_connected, accepted) = tokio::join!(world.raw_connect(config), world.accept());
        match expected {
            Some(alpn) => assert_eq!(accepted.unwrap().alpn, alpn, "{offered:?}"),
            None => {
                let refused = accepted.unwrap_err();
                assert!(matches!(refused, AcceptError::Protocol(_)), "{refused:?}");
            }
        }
    }
}

/// What is wrong with a certificate, the certificate, and what the acceptor must say.
fn bad_certificates(world: &World) -> Vec<(&'static str, Forged, CertificateFault)> {
    let folder = tempfile::tempdir().unwrap();
    let foreign = Authority::create(folder.path(), INSTALL.parse().unwrap(), now()).unwrap();
    let expired = issue(&world.authority, now().minus_millis(7_200_000), 3_600_000);
    let unborn = issue(&world.authority, now().plus_millis(3_600_000), 7_200_000);
    let revoked = world.pair();
    world.standing.revoke(&revoked.identity().serial);
    let runtime = runtime_name(INSTALL);
    let ours = |uris: &[&str]| -> Forged {
        let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        world.forge(&uris, &[ClientAuth])
    };
    let root = std::fs::read_to_string(world.folder.path().join("root.pem")).unwrap();
    let ca_key = std::fs::read_to_string(world.folder.path().join("ca.key")).unwrap();
    let mut ca = ours(&[&runtime]);
    {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
        ca.der = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
        ca.key = PrivateKeyDer::from_pem_slice(ca_key.as_bytes()).unwrap();
    }
    vec![
        (
            "another authority",
            shown(&issue(&foreign, now(), 3_600_000)),
            CertificateFault::UnknownAuthority,
        ),
        (
            "another authority, forged by hand",
            forge(folder.path(), std::slice::from_ref(&runtime), &[ClientAuth]),
            CertificateFault::UnknownAuthority,
        ),
        ("expired", shown(&expired), CertificateFault::Expired),
        ("not valid yet", shown(&unborn), CertificateFault::Expired),
        ("revoked", shown(&revoked), CertificateFault::Revoked),
        ("no name", ours(&[]), CertificateFault::Nameless),
        (
            "two names",
            ours(&[&runtime, &runtime_name(OTHER)]),
            CertificateFault::ManyNames,
        ),
        (
            "the same name twice",
            ours(&[&runtime, &runtime]),
            CertificateFault::ManyNames,
        ),
        (
            "a second name that webpki skips",
            ours(&[&runtime, "%"]),
            CertificateFault::ManyNames,
        ),
        (
            "a foreign name",
            ours(&["https://example.org/"]),
            CertificateFault::ForeignName,
        ),
        (
            "another installation",
            ours(&[&runtime_name(OTHER)]),
            CertificateFault::OtherInstall,
        ),
        (
            "the kernel's name",
            ours(&[&kernel_name(INSTALL)]),
            CertificateFault::WrongRole,
        ),
        (
            "the kernel's own kind of certificate",
            world.forge(&[kernel_name(INSTALL)], &[ServerAuth]),
            CertificateFault::Purpose,
        ),
        (
            "a server's certificate with a runtime's name",
            world.forge(std::slice::from_ref(&runtime), &[ServerAuth]),
            CertificateFault::Purpose,
        ),
        (
            "no purpose",
            world.forge(std::slice::from_ref(&runtime), &[]),
            CertificateFault::Purpose,
        ),
        (
            "any purpose",
            world.forge(std::slice::from_ref(&runtime), &[Any]),
            CertificateFault::Purpose,
        ),
        ("the root itself", ca, CertificateFault::Authority),
        (
            "an authority of its own below the root",
            forge_below(
                world.folder.path(),
                std::slice::from_ref(&runtime),
                &[ClientAuth],
            ),
            CertificateFault::UnknownAuthority,
        ),
    ]
}

#[tokio::test]
async fn a_bad_certificate_is_refused_at_the_handshake_and_its_holder_is_told() {
    let world = World::new().await;
    for (name, bad, fault) in bad_certificates(&world) {
        let client = async {
            let mut stream = world.raw_connect(world.raw_client(Some(&bad))).await?;
            stream.read_u8().await.map(|_| ())
        };
        // A stream accepted by mistake is dropped, so that the client does not wait for ever.
        let accept = async { world.accept().await.map(drop) };
        let (told, refused) = tokio::join!(client, accept);
        let refused = refused.expect_err(name);
        let AcceptError::Certificate(found) = &refused else {
            panic!("{name}: {refused:?}");
        };
        assert_eq!(*found, fault, "{name}");
        assert_eq!(
            (refused.blame(), refused.kind()),
            (Blame::Peer, "certificate"),
            "{name}"
        );
        let told = told.unwrap_err();
        assert!(refused_certificate(&told), "{name}: {told:?}");
    }
}

#[tokio::test]
async fn a_silent_peer_is_cut_off_at_the_deadline() {
    let deadline = Duration::from_millis(50);
    let world = World::with_deadline(deadline).await;
    let silent = TcpStream::connect(&world.addr).await.unwrap();
    let refused = tokio::time::timeout(PATIENCE, world.accept())
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(refused, AcceptError::Deadline { deadline: d } if d == deadline));
    assert_eq!(refused.blame(), Blame::Peer);
    drop(silent);
}

#[tokio::test]
async fn a_peer_that_stops_halfway_is_cut_off_at_the_deadline() {
    let world = World::with_deadline(Duration::from_millis(50)).await;
    let mut halfway = TcpStream::connect(&world.addr).await.unwrap();
    // The header of a handshake record of 512 bytes that never come.
    halfway
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        .await
        .unwrap();
    let refused = tokio::time::timeout(PATIENCE, world.accept())
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(refused, AcceptError::Deadline { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn garbage_is_not_our_protocol_and_a_hang_up_is_the_networks() {
    let world = World::new().await;
    let mut garbage = TcpStream::connect(&world.addr).await.unwrap();
    garbage
        .write_all(b"GET / HTTP/1.1\r\nHost: kernel\r\n\r\n")
        .await
        .unwrap();
    let refused = world.accept().await.unwrap_err();
    assert!(matches!(refused, AcceptError::Protocol(_)), "{refused:?}");
    assert_eq!(refused.blame(), Blame::Peer);

    drop(TcpStream::connect(&world.addr).await.unwrap());
    let gone = world.accept().await.unwrap_err();
    assert_eq!(
        (gone.blame(), gone.kind()),
        (Blame::Network, "gone"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_peer_that_trusts_another_root_refuses_us() {
    let (world, other) = (World::new().await, World::new().await);
    let client = world.raw_connect(other.raw_client(None));
    let (connected, accepted) = tokio::join!(client, world.accept());
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::InvalidData);
    let refused = accepted.unwrap_err();
    assert!(matches!(refused, AcceptError::Refused(_)), "{refused:?}");
}

#[tokio::test]
async fn a_second_connection_of_the_same_client_is_a_full_handshake() {
    let world = World::new().await;
    // A client that would gladly resume: rustls keeps tickets by default.
    let config = std::sync::Arc::new(world.raw_client(Some(&shown(&world.pair()))));
    for _ in 0..2 {
        let (connected, accepted) = tokio::join!(
            crate::world::raw_connect(&config, &world.addr),
            world.accept()
        );
        let (mut client, mut server) = (connected.unwrap(), accepted.unwrap().stream);
        // Tickets would arrive before these bytes.
        server.write_all(b"hello").await.unwrap();
        server.flush().await.unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(
            client.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Full)
        );
        assert_eq!(client.get_ref().1.tls13_tickets_received(), 0);
        assert_eq!(server.session().handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_revoked_runtime_is_refused_at_its_next_handshake() {
    let world = World::new().await;
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    connected.unwrap();
    accepted.unwrap();

    world.standing.revoke(&pair.identity().serial);

    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    let refused = accepted.unwrap_err();
    assert!(matches!(
        refused,
        AcceptError::Certificate(CertificateFault::Revoked)
    ));
    let told = connected.unwrap().read_u8().await.unwrap_err();
    assert!(refused_certificate(&told), "{told:?}");
}

#[tokio::test]
async fn the_certificate_in_use_is_swapped_under_a_running_acceptor() {
    let world = World::new().await;
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    let settings = AcceptorSettings {
        authority: std::sync::Arc::clone(&world.authority),
        names: vec!["localhost".to_owned()],
        standing: std::sync::Arc::clone(&world.standing) as _,
        handshake_deadline: PATIENCE,
    };
    // Thirteen of its twenty-four hours are over.
    let acceptor = Acceptor::new(settings, now().minus_millis(13 * 3_600_000)).unwrap();
    let mut seen = Vec::new();
    for renewed in [true, false] {
        let accept = async {
            acceptor
                .accept(world.listener.accept().await.unwrap().0)
                .await
        };
        let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), accept);
        accepted.unwrap();
        let client = connected.unwrap();
        seen.push(client.get_ref().1.peer_certificates().unwrap()[0].clone());
        assert_eq!(acceptor.renew_if_due(now()).unwrap(), renewed);
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn debug_of_an_acceptor_shows_no_key() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        let shown = format!("{:?}", world.acceptor);
        assert!(shown.contains("key: …"), "{shown}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    });
}
