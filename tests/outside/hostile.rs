//! Peers that mean harm, or have lost their way: each is cut in time, and nobody else notices.

mod flood;
mod resets;
mod shares;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use provost_certs::{Alpn, ClientStream};
use provost_protocol::{
    codec,
    wire::{ClientMessage, Heartbeat, Operation, Request},
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    bad_frames::hello,
    world::{Kernel, Runtime, now, until},
};

/// Cut between these two, in seconds: the first is the kernel's own bound, less a moment.
type Bounds = (u64, u64);

/// Sends bytes one by one, slowly, until the kernel hangs up; gives when it did and what it said.
async fn dribble<S>(stream: S, bytes: &[u8], every: Duration) -> (Duration, Vec<u8>)
where
    S: AsyncRead + AsyncWrite,
{
    let began = Instant::now();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut said = Vec::new();
    let writing = async {
        for byte in bytes {
            if writing.write_all(&[*byte]).await.is_err() || writing.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(every).await;
        }
        // All is said, or nobody listens: what is left is to wait.
        std::future::pending::<()>().await;
    };
    let hearing = async {
        while reading
            .read_buf(&mut said)
            .await
            .is_ok_and(|count| count > 0)
        {}
    };
    let cut = async {
        tokio::select! {
            () = hearing => {}
            () = writing => {}
        }
    };
    timeout(WITHIN, cut).await.expect("the kernel hangs up");
    (began.elapsed(), said)
}

async fn open(kernel: &Kernel, runtime: &Runtime, alpn: Alpn) -> ClientStream {
    let tls = runtime.tls(kernel, alpn);
    tls.connect(&kernel.port().to_string(), WITHIN)
        .await
        .unwrap()
}

/// A connection that takes in next to nothing, from its own side's system on.
async fn narrow(kernel: &Kernel, runtime: &Runtime, alpn: Alpn) -> ClientStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let tcp = socket.connect(kernel.port()).await.unwrap();
    let tls = runtime.tls(kernel, alpn);
    tls.connect_through(tcp, &kernel.port().to_string(), WITHIN)
        .await
        .unwrap()
}

/// Asks and asks and never reads, until the kernel hangs up.
async fn asks_only(mut stream: ClientStream, mut ask: impl FnMut(u64) -> Vec<u8>) -> Duration {
    let began = Instant::now();
    let asking = async {
        for id in 1.. {
            if stream.write_all(&ask(id)).await.is_err() || stream.flush().await.is_err() {
                break;
            }
        }
    };
    timeout(WITHIN, asking).await.expect("the kernel hangs up");
    began.elapsed()
}

fn beat(runtime: &Runtime, id: u64) -> Vec<u8> {
    let operation = Operation::Heartbeat(Heartbeat {
        health: provost_protocol::entity::Health::Healthy,
        metrics: provost_protocol::metrics::Metrics::default(),
    });
    let request = Request {
        id,
        correlation_id: Uuid::now_v7().to_string().parse().unwrap(),
        tenant: runtime.tenant.parse().unwrap(),
        operation,
    };
    codec::encode_frame(&ClientMessage::Request(request)).unwrap()
}

/// The head of a check, with a body to come.
fn check_head(runtime: &Runtime, addr: SocketAddr, length: usize) -> String {
    let mut head = format!("POST /kernel/entitlements/check HTTP/1.1\r\nhost: {addr}\r\n");
    for (name, value) in runtime.headers() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + &format!("content-length: {length}\r\n\r\n")
}

fn cut_within(what: &str, took: Duration, (least, most): Bounds) {
    let seconds = took.as_secs_f64();
    let bounds = least as f64..=most as f64;
    assert!(
        bounds.contains(&seconds),
        "{what}: cut after {seconds:.1} s"
    );
}

/// A figure of the kernel's, all its rows together.
async fn figure(kernel: &Kernel, name: &str, label: &str) -> f64 {
    let text = kernel.get("/metrics").await.text;
    let rows = text
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label) && !line.starts_with('#'));
    rows.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn whoever_is_slow_or_silent_is_cut_in_time_and_nobody_else_notices() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let honest = kernel.runtime(&tenant, "on_prem").await;
    let hostile = kernel.runtime(&tenant, "on_prem").await;
    let silent = kernel.runtime(&tenant, "on_prem").await;
    let revoked = kernel.runtime(&tenant, "on_prem").await;
    let before = figure(&kernel, "provost_connections_open", "").await;
    let addr = kernel.port();
    let slowly = Duration::from_millis(400);

    let in_the_handshake = async {
        let tcp = TcpStream::connect(addr).await.unwrap();
        // A record of TLS that announces 512 bytes.
        let record = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 252][..], &[3; 200]].concat();
        let (took, _) = dribble(tcp, &record, slowly).await;
        cut_within("slow handshake", took, (9, 30));
    };
    let without_a_word = async {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let (took, _) = dribble(tcp, &[], slowly).await;
        cut_within("no handshake", took, (9, 30));
    };
    let before_hello = async {
        let stream = open(&kernel, &hostile, Alpn::Provost1).await;
        let (took, _) = dribble(stream, &[], slowly).await;
        cut_within("no Hello", took, (9, 30));
    };
    let in_hello = async {
        let stream = open(&kernel, &hostile, Alpn::Provost1).await;
        let frame = codec::encode_frame(&hello()).unwrap();
        let (took, _) = dribble(stream, &frame, slowly).await;
        cut_within("slow Hello", took, (9, 30));
    };
    let in_a_head = async {
        let stream = open(&kernel, &hostile, Alpn::Http11).await;
        let head = check_head(&hostile, addr, 10);
        let (took, _) = dribble(stream, head.as_bytes(), slowly).await;
        cut_within("slow head", took, (14, 40));
    };
    let before_a_preface = async {
        let stream = open(&kernel, &hostile, Alpn::H2).await;
        let (took, _) = dribble(stream, &[], slowly).await;
        cut_within("no preface", took, (14, 40));
    };
    let in_a_body = async {
        let mut stream = open(&kernel, &hostile, Alpn::Http11).await;
        let head = check_head(&hostile, addr, 1_000);
        stream.write_all(head.as_bytes()).await.unwrap();
        let (took, said) = dribble(stream, &[b' '; 900], slowly).await;
        cut_within("slow body", took, (29, 60));
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    };
    // It said Hello, was welcomed, and then lost its power: nothing of it ever comes again.
    let gone = async {
        let mut stream = open(&kernel, &silent, Alpn::Provost1).await;
        let frame = codec::encode_frame(&hello()).unwrap();
        stream.write_all(&frame).await.unwrap();
        let (took, said) = dribble(stream, &[], slowly).await;
        cut_within("half-open", took, (39, 110));
        assert!(!said.is_empty(), "it was welcomed");
    };
    let unread_frames = async {
        let mut stream = narrow(&kernel, &hostile, Alpn::Provost1).await;
        let frame = codec::encode_frame(&hello()).unwrap();
        stream.write_all(&frame).await.unwrap();
        let took = asks_only(stream, |id| beat(&hostile, id)).await;
        cut_within("frames unread", took, (9, 100));
    };
    let unread_answers = async {
        let stream = narrow(&kernel, &hostile, Alpn::Http11).await;
        let ask = check_head(&hostile, addr, 2) + "{}";
        let took = asks_only(stream, |_| ask.clone().into_bytes()).await;
        cut_within("answers unread", took, (9, 100));
    };
    // What it has under way may end; not at its own pace.
    let revoked_in_a_body = async {
        let mut stream = open(&kernel, &revoked, Alpn::Http11).await;
        let head = check_head(&revoked, addr, 1_000);
        let head = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who it is was judged: the body is waited for.
        let mut word = [0; 21];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"HTTP/1.1 100 Continue");
        let path = format!("/v1/tenants/{tenant}/runtimes/{}/revoke", revoked.id);
        kernel.post(&path, json!({})).await.must(200);
        let (took, _) = dribble(stream, &[b' '; 900], slowly).await;
        cut_within("revoked in a body", took, (9, 25));
    };
    let honestly = async {
        for _ in 0..200 {
            honest.check(&kernel, "reports").await.must(200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(
        async {
            tokio::join!(
                in_the_handshake,
                without_a_word,
                before_hello,
                in_hello,
                in_a_head
            )
        },
        async {
            tokio::join!(
                before_a_preface,
                in_a_body,
                gone,
                unread_frames,
                unread_answers,
                revoked_in_a_body
            )
        },
        honestly,
    );
    until("nothing of them is left", async || {
        let open = figure(&kernel, "provost_connections_open", "").await;
        (open <= before).then_some(())
    })
    .await;
    assert!(!kernel.log().contains("panicked"), "at {}", now());
}

/// Longer than the longest bound here, on a machine that compiles beside it.
const WITHIN: Duration = Duration::from_secs(120);
