//! Keys at a URL: a real HTTP server on loopback, and the clock handed in.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jsonwebtoken::Algorithm;
use provost_actors::TokenRefused;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::world::{World, claims};
use crate::idp::Verifier;

/// An HTTP server that says one thing, and counts how often it was asked.
struct Server {
    listener: TcpListener,
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        Self {
            listener,
            url,
            asked: Arc::default(),
        }
    }

    /// Answers everybody alike, for as long as the test runs.
    fn says(self, answer: String) -> Arc<AtomicUsize> {
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = self.listener.accept().await {
                self.asked.fetch_add(1, Ordering::SeqCst);
                // The client may hang up early: that is what some tests are about.
                let _ = serve(stream, answer.as_bytes()).await;
            }
        });
        asked
    }
}

async fn serve(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    stream.write_all(answer).await?;
    stream.shutdown().await
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn keys_are_fetched_once_and_kept() {
    let server = Server::bind().await;
    let (world, document) = World::at(&server.url);
    let asked = server.says(ok(&document));
    let token = world.sign(Algorithm::EdDSA, &claims());
    for later in [0, 1_000, 9 * 60_000] {
        world
            .verify_at(&world.verifier, &token, later)
            .await
            .unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    world
        .verify_at(&world.verifier, &token, 10 * 60_000)
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "after the time to live");
}

#[tokio::test]
async fn a_flood_of_unknown_key_ids_costs_one_fetch_in_30_seconds() {
    let server = Server::bind().await;
    let (world, document) = World::at(&server.url);
    let asked = server.says(ok(&document));
    let unknown = TokenRefused::Refused("it is signed with a key the provider does not publish");
    for n in 0..20 {
        let token = world.sign_named(&format!("made-up-{n}"));
        let refused = world.verify_at(&world.verifier, &token, 1_000 * n).await;
        assert_eq!(refused, Err(unknown.clone()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let token = world.sign_named("made-up");
    assert_eq!(
        world.verify_at(&world.verifier, &token, 30_000).await,
        Err(unknown)
    );
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn all_who_come_at_once_share_one_fetch() {
    let server = Server::bind().await;
    let (world, document) = World::at(&server.url);
    let asked = server.says(ok(&document));
    let token = world.sign(Algorithm::ES256, &claims());
    let (a, b, c) = tokio::join!(
        world.verify(&token),
        world.verify(&token),
        world.verify(&token)
    );
    a.and(b).and(c).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_remembered_for_30_seconds_and_good_keys_outlive_it() {
    let server = Server::bind().await;
    let (mut world, document) = World::at(&server.url);
    let asked = server.says("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned());
    let token = world.sign(Algorithm::EdDSA, &claims());
    let failed = Err(TokenRefused::Unavailable(
        "the provider answered with an error",
    ));
    for later in [0, 29_999] {
        assert_eq!(
            world.verify_at(&world.verifier, &token, later).await,
            failed
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let good = Server::bind().await;
    world.settings.keys = provost_protocol::event::ProviderKeys::JwksUrl(good.url.clone());
    let asked = Arc::clone(&good.asked);
    let serving = tokio::spawn(async move {
        let (stream, _) = good.listener.accept().await.unwrap();
        good.asked.fetch_add(1, Ordering::SeqCst);
        serve(stream, ok(&document).as_bytes()).await.unwrap();
    });
    world.verify(&token).await.unwrap();
    serving.await.unwrap();
    // Its time to live is over, and the server is gone.
    world
        .verify_at(&world.verifier, &token, 10 * 60_000)
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_that_lead_on_or_never_end_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(256 * 1024 + 1));
    let found = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    for (answer, why) in [
        (found.to_owned(), "redirects are not followed"),
        (long, "the answer is longer than 256 KiB"),
        (ok("<html>"), "the answer is no key document"),
        (
            ok(r#"{"keys":[],"keys":[]}"#),
            "the answer is no key document",
        ),
        (String::new(), "the provider cannot be reached"),
    ] {
        let server = Server::bind().await;
        let (world, _) = World::at(&server.url);
        server.says(answer);
        let token = world.sign(Algorithm::EdDSA, &claims());
        assert_eq!(
            world.verify(&token).await,
            Err(TokenRefused::Unavailable(why))
        );
    }
}

#[tokio::test]
async fn without_permission_nothing_private_is_ever_connected_to() {
    let server = Server::bind().await;
    let port = server.listener.local_addr().unwrap().port();
    let asked = server.says(ok("{}"));
    let private = "the URL leads to an address that is not public";
    for (url, why) in [
        (format!("https://127.0.0.1:{port}/"), private),
        (format!("https://[::1]:{port}/"), private),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), private),
        (format!("https://2130706433:{port}/"), private),
        (format!("https://0x7f.1:{port}/"), private),
        (
            "https://169.254.169.254/latest/meta-data".to_owned(),
            private,
        ),
        (format!("https://localhost:{port}/"), private),
        (format!("http://127.0.0.1:{port}/"), "the URL is not https"),
        ("file:///etc/passwd".to_owned(), "the URL is not https"),
        (
            "https://a:b@example.org/".to_owned(),
            "the URL carries a password",
        ),
    ] {
        let (world, _) = World::at(&url);
        let token = world.sign(Algorithm::EdDSA, &claims());
        let refused = world.verify_with(&Verifier::new(false), &token).await;
        assert_eq!(refused, Err(TokenRefused::Unavailable(why)), "{url}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
