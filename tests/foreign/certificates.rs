//! What the connector holds after its enrolment, read by openssl.

use crate::{
    tool::{arg, output_of, run},
    world::{Kernel, provost},
};

#[tokio::test]
async fn openssl_reads_key_certificate_and_root_and_finds_one_name() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let token = kernel.token(&tenant, "on_prem").await;
    let data = kernel.folder().join("connector");
    let enrolled = provost(&["connector", "enroll", &token, "--data", arg(&data)]);
    assert!(enrolled.status.success(), "{enrolled:?}");
    let keys = data.join("keys");
    let (key, certificate) = (keys.join("runtime.key"), keys.join("runtime.pem"));
    let (key, certificate) = (arg(&key), arg(&certificate));
    let root = keys.join("root.pem");

    let text = output_of(
        "openssl",
        &["x509", "-in", certificate, "-noout", "-text"],
        &[],
    );
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| line.starts_with("X509v3 Subject Alternative Name"))
        .unwrap();
    let names = lines.next().unwrap();
    let wanted = format!("/tenant/{tenant}/runtime/");
    assert!(
        names.starts_with("URI:spiffe://") && names.contains(&wanted),
        "{names}"
    );
    assert!(!names.contains(','), "one name and no other: {names}");

    let of_key = output_of("openssl", &["pkey", "-in", key, "-pubout"], &[]);
    let of_certificate = output_of(
        "openssl",
        &["x509", "-in", certificate, "-noout", "-pubkey"],
        &[],
    );
    assert_eq!(of_key, of_certificate, "the key is the certificate's");

    let verify = |root: &str| {
        run(
            "openssl",
            &[
                "verify",
                "-purpose",
                "sslclient",
                "-CAfile",
                root,
                certificate,
            ],
            &[],
        )
    };
    let believed = verify(arg(&root));
    assert!(believed.status.success(), "{believed:?}");
    let other = Kernel::init(crate::world::Start::default());
    let refused = verify(arg(&other.data().join("root.pem")));
    assert!(!refused.status.success(), "under another root: {refused:?}");
}
