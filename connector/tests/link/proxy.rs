//! The way through an HTTP proxy, with a proxy of our own that keeps all it sees.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use provost_connector::{EnrollError, ProxyError, ProxySetting, enroll_through};
use provost_protocol::wire::{ClientMessage, Operation, Request};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::*;

/// What it does with whoever asks.
#[derive(Clone)]
enum Manner {
    /// Opens a tunnel to here, whatever name was asked for.
    Tunnels(String),
    /// Says this, and hangs up.
    Says(Vec<u8>),
    /// Says nothing, and keeps the connection.
    Silent,
}

/// A proxy, and what it has seen.
struct Proxy {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    heads: Vec<String>,
    up: Vec<u8>,
    down: Vec<u8>,
}

impl Proxy {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, seen) = (listener.local_addr().unwrap(), Arc::default());
        let keeping: Arc<Mutex<Seen>> = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, manner.clone(), Arc::clone(&keeping)));
            }
        });
        Self { addr, seen }
    }

    fn setting(&self) -> ProxySetting {
        ProxySetting::new(format!("http://ada:s3cret@{}", self.addr))
    }
}

async fn serve(mut client: TcpStream, manner: Manner, seen: Arc<Mutex<Seen>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    seen.lock()
        .unwrap()
        .heads
        .push(String::from_utf8(head).unwrap());
    match manner {
        Manner::Says(bytes) => client.write_all(&bytes).await.unwrap_or_default(),
        Manner::Silent => drop(client.read_buf(&mut Vec::new()).await),
        Manner::Tunnels(target) => {
            let kernel = TcpStream::connect(target).await.unwrap();
            let granted = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
            client.write_all(granted).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_kernel, to_kernel) = kernel.into_split();
            tokio::join!(
                copy(from_client, to_kernel, |bytes| {
                    seen.lock().unwrap().up.extend_from_slice(bytes);
                }),
                copy(from_kernel, to_client, |bytes| {
                    seen.lock().unwrap().down.extend_from_slice(bytes);
                }),
            );
        }
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut keep: impl FnMut(&[u8]),
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        keep(&buffer[..count]);
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // Whoever is gone already needs no farewell.
    drop(to.shutdown().await);
}

/// The types of the TLS records that the bytes are made of; the last may be cut.
fn record_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [kind, 3, _, high, low, ..] = bytes {
        types.push(*kind);
        let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
        bytes = bytes.get(length..).unwrap_or_default();
    }
    assert!(bytes.len() < 5, "no TLS record: {:?}", &bytes[..5]);
    types
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn enrolment_and_link_go_through_the_tunnel_and_the_proxy_sees_nothing_else() {
    let world = World::new().await;
    let proxy = Proxy::start(Manner::Tunnels(world.addr())).await;
    let (token, setting) = (world.token(), proxy.setting());
    let enrolling = enroll_through(&token, world.data.path(), Some(&setting));
    let (enrolled, _) = tokio::join!(enrolling, world.answer_enrolment(true));
    enrolled.unwrap();

    let connector = world
        .start_with(|config| {
            // Nobody but the proxy knows this name.
            config.kernel = Some("kernel.invalid:7443".to_owned());
            config.proxy = Some(setting);
        })
        .await;
    let (mut peer, _) = world.welcome(1).await;
    let license = world.license(1, 1);
    let pulled = |message: &ClientMessage| {
        matches!(
            message,
            ClientMessage::Request(Request {
                operation: Operation::PullLicense,
                ..
            })
        )
        .then_some(())
    };
    peer.play(&world, &license, pulled).await;
    until("the license is held", || {
        connector.status().tenants.len() == 1
    })
    .await;
    connector.shutdown().await;

    let seen = proxy.seen.lock().unwrap();
    let head = |addr: &str| {
        let agent = env!("CARGO_PKG_VERSION");
        format!(
            "CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: provost-connector/{agent}\r\n\
             Proxy-Authorization: Basic YWRhOnMzY3JldA==\r\n\r\n"
        )
    };
    assert_eq!(
        seen.heads,
        [head(&world.addr()), head("kernel.invalid:7443")]
    );
    for (bytes, side) in [(&seen.up, "up"), (&seen.down, "down")] {
        let types = record_types(bytes);
        assert!(types.contains(&23), "{side}: nothing was said");
        assert!(
            types.iter().all(|kind| (20..=23).contains(kind)),
            "{side}: {types:?}"
        );
        for secret in [
            "enroll",
            "BEGIN",
            "report_export",
            "heartbeat",
            &tenant().to_string(),
        ] {
            assert!(!holds(bytes, secret), "{side}: {secret} could be read");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_is_named_with_407_and_the_password_is_not() {
    let world = World::enrolled().await;
    let said = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
    let proxy = Proxy::start(Manner::Says(said.to_vec())).await;
    let bare = ProxySetting::new(format!("http://{}", proxy.addr));
    for (setting, words) in [(proxy.setting(), "those it got"), (bare, "none")] {
        let connector = world
            .start_with(|config| config.proxy = Some(setting))
            .await;
        until("down", || connector.status().link.state == "down").await;
        let reason = connector.status().link.reason.unwrap();
        assert!(reason.contains("407") && reason.contains(words), "{reason}");
        assert!(!reason.contains("s3cret"), "{reason}");
        connector.shutdown().await;
    }
    let heads = &proxy.seen.lock().unwrap().heads;
    assert!(
        heads
            .last()
            .is_some_and(|head| !head.contains("Authorization"))
    );
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_told_from_a_kernel_that_is_away() {
    let world = World::new().await;
    let token = world.token();
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'y'; 9 * 1024]].concat();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = nobody.local_addr().unwrap();
    drop(nobody);
    let mut tries = vec![(
        "cannot be reached",
        ProxySetting::new(format!("http://{nowhere}")),
    )];
    for (words, manner) in [
        (
            "status 502",
            Manner::Says(b"HTTP/1.1 502 Bad Gateway\r\n\r\nsorry".to_vec()),
        ),
        (
            "status 403",
            Manner::Says(b"HTTP/1.0 403 No\r\n\r\n".to_vec()),
        ),
        ("hung up", Manner::Says(b"HTTP/1.1 200 OK\r\n".to_vec())),
        ("no end", Manner::Says(endless)),
        (
            "status line",
            Manner::Says(b"220 smtp.example\r\n\r\n".to_vec()),
        ),
        (
            "within the tunnel",
            Manner::Says(b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()),
        ),
        ("10000 ms", Manner::Silent),
    ] {
        tries.push((words, Proxy::start(manner).await.setting()));
    }
    for (words, setting) in tries {
        let refused = enroll_through(&token, world.data.path(), Some(&setting)).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, EnrollError::Proxy(_)), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(words), "{words}: {shown}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("czNjcmV0"),
            "{shown}"
        );
    }
    let scheme = ProxySetting::new("socks5://ada:s3cret@127.0.0.1:1080");
    let refused = enroll_through(&token, world.data.path(), Some(&scheme)).await;
    assert!(
        matches!(refused, Err(EnrollError::Proxy(ProxyError::Scheme { .. }))),
        "{refused:?}"
    );
}
