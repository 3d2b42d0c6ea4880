//! Who comes without a certificate, with `openssl s_client`.

use crate::{
    tool::{arg, run},
    world::Kernel,
};

#[tokio::test]
async fn openssl_without_a_certificate_is_told_to_show_one_everywhere_but_at_enrolment() {
    let kernel = Kernel::start().await;
    for path in [
        "/kernel/runtimes/register",
        "/kernel/runtimes/00000000-0000-7000-8000-000000000000/heartbeat",
        "/kernel/identity/resolve",
        "/kernel/entitlements/check",
        "/kernel/audit/events",
        "/v1/tenants",
        "/",
    ] {
        let answer = post(&kernel, path);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
        assert!(answer.contains("certificate_required"), "{path}: {answer}");
    }

    let enroll = post(&kernel, "/kernel/enroll");
    assert!(enroll.starts_with("HTTP/1.1 400 "), "{enroll}");
    assert!(enroll.contains("missing field `token`"), "{enroll}");
}

#[tokio::test]
async fn openssl_without_a_certificate_gets_no_session_of_frames() {
    let kernel = Kernel::start().await;
    let answer = talk(&kernel, "provost/1", &[]);
    assert!(
        answer.contains("connect with the runtime's certificate"),
        "{answer}"
    );
}

fn post(kernel: &Kernel, path: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    talk(kernel, "http/1.1", request.as_bytes())
}

/// Says something over TLS and hears everything until the kernel closes the connection.
fn talk(kernel: &Kernel, alpn: &str, words: &[u8]) -> String {
    let (address, root) = (kernel.port().to_string(), kernel.data().join("root.pem"));
    let mut args = vec!["s_client", "-connect", &address, "-quiet", "-alpn", alpn];
    args.extend([
        "-CAfile",
        arg(&root),
        "-verify_ip",
        "127.0.0.1",
        "-verify_return_error",
    ]);
    let output = run("openssl", &args, words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty(), "{output:?}");
    text
}
