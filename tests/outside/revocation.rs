//! Who is revoked is out: its connections, its next handshakes, also after a restart.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use provost_certs::Alpn;
use provost_protocol::{
    Code, codec,
    frame::{FRAME_BYTES_MAX, FrameDecoder},
    wire::ServerMessage,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    bad_frames::hello,
    world::{Kernel, Runtime},
};

async fn show(kernel: &Kernel, runtime: &Runtime) -> Value {
    let path = format!("/v1/tenants/{}/runtimes/{}", runtime.tenant, runtime.id);
    kernel.get(&path).await.must(200).json
}

async fn revoke_serial(kernel: &Kernel, runtime: &Runtime) -> Value {
    let serial = show(kernel, runtime).await["serials"][0].clone();
    let path = format!(
        "/v1/tenants/{}/runtimes/{}/certificates/revoke",
        runtime.tenant, runtime.id
    );
    let body = json!({"serial": serial, "reason": "stolen"});
    kernel.post(&path, body).await.json
}

/// An open session; gives the messages that come after Welcome until the kernel closes.
async fn until_closed(
    kernel: &Kernel,
    runtime: &Runtime,
    act: impl AsyncFnOnce(),
) -> Vec<ServerMessage> {
    let tls = runtime.tls(kernel, Alpn::Provost1);
    let mut stream = tls
        .connect(&kernel.port().to_string(), WITHIN)
        .await
        .unwrap();
    let frame = codec::encode_frame(&hello()).unwrap();
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let (mut said, mut buffer, mut act) = (Vec::new(), vec![0; 16 * 1024], Some(act));
    loop {
        let read = timeout(WITHIN, stream.read(&mut buffer)).await;
        match read.expect("the kernel closes") {
            Ok(0) | Err(_) => return said,
            Ok(count) => decoder.push(&buffer[..count]),
        }
        while let Some(body) = decoder.next_frame().unwrap() {
            match codec::decode(&body).unwrap() {
                ServerMessage::Welcome(_) => {
                    if let Some(act) = act.take() {
                        act().await;
                    }
                }
                other => said.push(other),
            }
        }
    }
}

fn refusal(said: &[ServerMessage]) -> Option<Code> {
    said.iter().find_map(|message| match message {
        ServerMessage::Refused(problem) => Some(problem.code),
        _ => None,
    })
}

/// Whether a call is answered; one that comes on a connection from before hears its refusal.
async fn is_let_in(kernel: &Kernel, runtime: &Runtime) -> bool {
    let ask = runtime.checking("reports", json!({}));
    let answer = runtime.try_send(kernel, &ask).await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Whether not even a connection comes about.
async fn is_refused_at_the_handshake(kernel: &Kernel, runtime: &Runtime) -> bool {
    let ask = runtime.checking("reports", json!({}));
    runtime.try_send(kernel, &ask).await.is_err()
}

#[tokio::test]
async fn a_revoked_certificate_closes_its_session_and_its_runtime_goes_on() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let other = kernel.runtime(&tenant, "on_prem").await;
    let said = until_closed(&kernel, &runtime, async || {
        let told = revoke_serial(&kernel, &runtime).await;
        assert_eq!(
            told["status"], "active",
            "the runtime itself is not revoked"
        );
        assert_eq!(told["revocation"]["not_reached_count"], 0, "{told}");
    })
    .await;
    // Not the word that ends the runtime for ever: a renewed certificate of it would be good.
    assert_eq!(refusal(&said), Some(Code::CertificateRefused), "{said:?}");
    assert!(!is_let_in(&kernel, &runtime).await);
    assert!(is_let_in(&kernel, &other).await);
    kernel.kill();
    kernel.serve().await;
    assert!(is_refused_at_the_handshake(&kernel, &runtime).await);
    assert!(is_let_in(&kernel, &other).await);
}

#[tokio::test]
async fn a_root_that_is_retired_ends_the_connections_of_those_it_signed() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let of_the_old = kernel.runtime(&tenant, "on_prem").await;
    let step = async |step: &str| {
        let body = json!({"step": step, "force": true});
        kernel.post("/v1/keys/ca/rotation", body).await;
    };
    step("prepare").await;
    step("activate").await;
    let of_the_next = kernel.runtime(&tenant, "on_prem").await;
    assert!(is_let_in(&kernel, &of_the_old).await, "both are let in");
    assert!(is_let_in(&kernel, &of_the_next).await);
    // Neither says anything: the one is told to go, the other is not.
    let said = until_closed(&kernel, &of_the_old, async || step("retire").await).await;
    assert_eq!(refusal(&said), Some(Code::CertificateRefused), "{said:?}");
    assert!(!is_let_in(&kernel, &of_the_old).await);
    assert!(is_let_in(&kernel, &of_the_next).await);
}

#[tokio::test]
async fn a_revoked_runtime_that_was_away_is_named_with_the_end_of_its_license() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let path = format!("/v1/tenants/{tenant}/runtimes/{}/revoke", runtime.id);
    let told = kernel.post(&path, json!({})).await.json.clone();
    assert_eq!(told["status"], "revoked");
    assert_eq!(told["revocation"]["not_reached_count"], 1);
    assert!(told["revocation"]["certain_by"].is_string());
    assert!(!is_let_in(&kernel, &runtime).await);
    kernel.kill();
    kernel.serve().await;
    assert!(is_refused_at_the_handshake(&kernel, &runtime).await);
}

#[tokio::test]
async fn every_runtime_of_a_tenant_is_revoked_by_one_word() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let mut fleet = Vec::new();
    for _ in 0..3 {
        fleet.push(kernel.runtime(&tenant, "on_prem").await);
    }
    let stranger = kernel.runtime(&kernel.company().await, "on_prem").await;
    let path = format!("/v1/tenants/{tenant}/runtimes/revoke");
    let said = until_closed(&kernel, &fleet[0], async || {
        let told = kernel
            .post(&path, json!({"reason": "the contract ended"}))
            .await;
        assert_eq!(told.json["runtimes"], 3);
        assert_eq!(told.json["not_reached_count"], 2, "one was connected");
    })
    .await;
    assert_eq!(refusal(&said), Some(Code::RuntimeRevoked), "{said:?}");
    for runtime in &fleet {
        assert!(!is_let_in(&kernel, runtime).await);
    }
    assert!(is_let_in(&kernel, &stranger).await);
    let again = kernel.post(&path, json!({})).await;
    assert_eq!(again.json["runtimes"], 0);
    assert_eq!(again.json["already_revoked"], 3);
}

#[tokio::test]
async fn the_command_line_says_who_was_not_told_and_which_tokens_are_of_use() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    kernel.token(&tenant, "on_prem").await;
    let words = ["runtime", "revoke-all", &tenant, "--reason", "it ended"];
    let (done, shown) = kernel.command(&words);
    assert!(done && shown.contains(&runtime.id), "{shown}");
    let (_, shown) = kernel.command(&[&words[..], &["--output", "json"]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["already_revoked"], 1, "{shown}");
    assert_eq!(shown["open_tokens"], 1, "{shown}");
}

/// A connection of HTTP that has asked and been answered, and asks nothing more.
struct Idle {
    asks: Asks,
    /// Over when the kernel has closed the connection.
    open: JoinHandle<hyper::Result<()>>,
}

enum Asks {
    Http11(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Idle {
    async fn of(kernel: &Kernel, runtime: &Runtime, alpn: Alpn) -> Self {
        let tls = runtime.tls(kernel, alpn);
        let stream = tls.connect(&kernel.port().to_string(), WITHIN).await;
        let io = TokioIo::new(stream.unwrap());
        let mut idle = if alpn == Alpn::H2 {
            let (asks, open) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            Self {
                asks: Asks::H2(asks),
                open: tokio::spawn(open),
            }
        } else {
            let (asks, open) = http1::handshake(io).await.unwrap();
            Self {
                asks: Asks::Http11(asks),
                open: tokio::spawn(open),
            }
        };
        assert_eq!(idle.ask(kernel, runtime).await, StatusCode::OK);
        idle
    }

    async fn ask(&mut self, kernel: &Kernel, runtime: &Runtime) -> StatusCode {
        let ask = runtime.checking("reports", json!({}));
        let uri = format!("https://{}{}", kernel.port(), ask.path);
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if matches!(self.asks, Asks::Http11(_)) {
            request = request.header("host", kernel.port().to_string());
        }
        let request = request.body(Full::from(ask.body)).unwrap();
        let answer: hyper::Result<hyper::Response<Incoming>> = match &mut self.asks {
            Asks::Http11(asks) => {
                asks.ready().await.unwrap();
                asks.send_request(request).await
            }
            Asks::H2(asks) => asks.send_request(request).await,
        };
        let answer = answer.unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    }

    /// Waits until the kernel has closed it, without a word.
    async fn closed(self) {
        let ended = timeout(WITHIN, self.open).await.expect("the kernel closes");
        ended.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_of_http_that_waits_is_closed_when_its_runtime_is_revoked() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let tenants = format!("/v1/tenants/{tenant}/runtimes");
    let mut runtimes = Vec::new();
    for _ in 0..3 {
        runtimes.push(kernel.runtime(&tenant, "on_prem").await);
    }
    let mut waiting = Vec::new();
    for runtime in &runtimes {
        let older = Idle::of(&kernel, runtime, Alpn::Http11).await;
        waiting.push([older, Idle::of(&kernel, runtime, Alpn::H2).await]);
    }
    let mut others = waiting.pop().unwrap();
    for (runtime, its) in runtimes.iter().zip(waiting) {
        if runtime.id == runtimes[0].id {
            // The runtime itself is in force, this certificate of it is not.
            revoke_serial(&kernel, runtime).await;
        } else {
            let path = format!("{tenants}/{}/revoke", runtime.id);
            kernel.post(&path, json!({})).await.must(200);
        }
        for one in its {
            one.closed().await;
        }
        for other in &mut others {
            assert_eq!(other.ask(&kernel, &runtimes[2]).await, StatusCode::OK);
        }
    }
    let all = format!("{tenants}/revoke");
    kernel.post(&all, json!({})).await.must(200);
    for one in others {
        one.closed().await;
    }
}

/// A debug build on a machine that compiles beside it.
const WITHIN: Duration = Duration::from_secs(30);
