//! openssl meets a kernel whose certificate authority was exchanged.

use serde_json::json;

use crate::{
    tool::{arg, output_of, run},
    world::Kernel,
};

/// Whether openssl, believing the roots in this file alone, finds a way to the kernel.
fn believes(kernel: &Kernel, roots: &str) -> bool {
    let address = kernel.port().to_string();
    let args = ["s_client", "-connect", &address, "-CAfile", roots];
    let args = [
        &args[..],
        &["-verify_return_error", "-verify_ip", "127.0.0.1"],
    ]
    .concat();
    let output = run("openssl", &args, b"");
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("Verification: OK")
}

#[tokio::test]
async fn openssl_finds_its_way_from_either_root_to_a_rotated_kernel() {
    let kernel = Kernel::start().await;
    let old = kernel.data().join("root.pem");
    let new = kernel.folder().join("new.pem");
    let step = async |step: &str| {
        let body = json!({"step": step});
        kernel.post("/v1/keys/ca/rotation", body).await.json["ca"].clone()
    };
    assert!(believes(&kernel, arg(&old)));
    let prepared = step("prepare").await;
    let next = prepared["next"].as_str().unwrap();
    let lies = kernel.data().join(format!("ca-{}.pem", &next[..16]));
    std::fs::copy(lies, &new).unwrap();
    assert!(!believes(&kernel, arg(&new)), "nothing is signed by it yet");
    for name in ["activate", "retire"] {
        step(name).await;
        assert!(
            believes(&kernel, arg(&old)),
            "{name}: over the cross-signed root"
        );
        assert!(believes(&kernel, arg(&new)), "{name}");
    }

    let cross = kernel.data().join(format!("ca-{}.cross.pem", &next[..16]));
    let verified = output_of(
        "openssl",
        &["verify", "-CAfile", arg(&old), arg(&cross)],
        b"",
    );
    assert!(verified.trim_end().ends_with("OK"), "{verified}");
}
