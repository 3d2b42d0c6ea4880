//! A license of a running kernel, verified by tools that know Keygen's format and not us.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keygen_rs::{errors::Error, license::LicenseFileAlgorithm, license_file::LicenseFile};
use serde_json::{Value, json};

use crate::{
    tool::{arg, run},
    world::{Answer, Kernel, provost, until},
};

/// A license that was issued, and the key that the kernel shows for it.
struct Licensed {
    folder: tempfile::TempDir,
    license: String,
    key_pem: String,
}

impl Licensed {
    /// Lets a kernel issue a license with two entitlements to a connector.
    async fn issue() -> Self {
        let kernel = Kernel::start().await;
        let tenant = kernel.company().await;
        kernel
            .grant(&tenant, json!({"feature": "reports", "limit": true}))
            .await;
        kernel
            .grant(&tenant, json!({"feature": "exports", "limit": 5}))
            .await;
        let folder = tempfile::tempdir().unwrap();
        let license = held_by_connector(&kernel, &tenant, &folder.path().join("connector")).await;
        let keys = kernel.get("/v1/keys").await.must(200);
        let keys = keys.json["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["purpose"] == "license").unwrap();
        let key_pem = key["public_key_pem"].as_str().unwrap().to_owned();
        Self {
            folder,
            license,
            key_pem,
        }
    }

    /// The envelope inside the license.
    fn envelope(&self) -> Value {
        let inside: String = self
            .license
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        serde_json::from_slice(&STANDARD.decode(inside).unwrap()).unwrap()
    }

    /// The same license with a feature in it that nobody granted.
    fn tampered(&self) -> Self {
        let mut envelope = self.envelope();
        let payload = STANDARD.decode(envelope["enc"].as_str().unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let richer = payload.replace("\"exports\"", "\"everything\"");
        assert_ne!(richer, payload, "nothing was changed");
        envelope["enc"] = json!(STANDARD.encode(richer));
        let inside = STANDARD.encode(envelope.to_string());
        Self {
            folder: tempfile::tempdir().unwrap(),
            license: format!(
                "-----BEGIN LICENSE FILE-----\n{inside}\n-----END LICENSE FILE-----\n"
            ),
            key_pem: self.key_pem.clone(),
        }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

#[tokio::test]
async fn openssl_verifies_a_license_with_the_key_that_the_kernel_shows() {
    let licensed = Licensed::issue().await;
    let verified = |licensed: &Licensed| {
        let envelope = licensed.envelope();
        let (enc, sig) = (
            envelope["enc"].as_str().unwrap(),
            envelope["sig"].as_str().unwrap(),
        );
        let key = licensed.file("key.pem", &licensed.key_pem);
        let message = licensed.file("message", format!("license/{enc}"));
        let signature = licensed.file("signature", STANDARD.decode(sig).unwrap());
        let mut args = vec![
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            arg(&key),
        ];
        args.extend(["-in", arg(&message), "-sigfile", arg(&signature)]);
        let output = run("openssl", &args, &[]);
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(
        verified(&licensed),
        (true, "Signature Verified Successfully\n".to_owned())
    );
    let (success, words) = verified(&licensed.tampered());
    assert!(
        !success && words.contains("Signature Verification Failure"),
        "{words}"
    );
}

#[tokio::test]
async fn thirty_lines_of_python_verify_a_license_and_list_its_entitlements() {
    let licensed = Licensed::issue().await;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/foreign/verify_license.py"
    );
    let verified = |licensed: &Licensed| {
        let key = licensed.file("key.pem", &licensed.key_pem);
        let file = licensed.file("license.lic", &licensed.license);
        // The system's own, for which the package of the cryptography library is made.
        let output = run("/usr/bin/python3", &[script, arg(&file), arg(&key)], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        (
            output.status.code(),
            text,
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, codes, words) = verified(&licensed);
    let mut codes: Vec<&str> = codes.lines().collect();
    codes.sort_unstable();
    assert_eq!(
        (code, codes),
        (Some(0), vec!["exports", "reports"]),
        "{words}"
    );
    let (code, codes, words) = verified(&licensed.tampered());
    assert_eq!((code, &*codes), (Some(1), ""), "{words}");
    assert_eq!(words.trim(), "the signature is not that of the key");
}

#[tokio::test]
async fn a_keygen_sdk_verifies_a_license_and_counts_its_entitlements() {
    let licensed = Licensed::issue().await;
    let verified = |licensed: &Licensed| {
        // The SDK has no other way to take a file that is not encrypted; it reads the times from
        // the certificate and looks at none of these.
        let file = json!({
            "id": "", "certificate": licensed.license, "issued": "2026-01-01T00:00:00Z",
            "expiry": "2026-01-01T00:00:00Z", "ttl": 0,
        });
        let file: LicenseFile = serde_json::from_value(file).unwrap();
        let spki = pem::parse(&licensed.key_pem).unwrap().into_contents();
        let key = hex::encode(&spki[spki.len() - 32..]);
        file.verify_and_decode(&key, LicenseFileAlgorithm::Base64Ed25519)
    };
    let dataset = verified(&licensed).unwrap();
    let entitlements = dataset.offline_entitlements().unwrap();
    let mut codes: Vec<&str> = entitlements.iter().map(|one| one.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["exports", "reports"]);
    assert!(
        dataset.issued < dataset.expiry && dataset.ttl > 0,
        "{dataset:?}"
    );
    let refused = verified(&licensed.tampered());
    assert!(
        matches!(refused, Err(Error::LicenseFileNotGenuine(_))),
        "{refused:?}"
    );
}

/// A process that is killed when this value goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Enrolls a connector and waits until it holds the tenant's license.
async fn held_by_connector(kernel: &Kernel, tenant: &str, data: &std::path::Path) -> String {
    let token = kernel.token(tenant, "on_prem").await;
    let enrolled = provost(&["connector", "enroll", &token, "--data", arg(data)]);
    assert!(enrolled.status.success(), "{enrolled:?}");
    // Free when it was looked for; the connector's own choice would collide between tests.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_provost"))
        .args([
            "connector",
            "run",
            "--data",
            arg(data),
            "--listen",
            &address,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _connector = Running(child);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    until("the connector holds a license", async || {
        let asked = client.get(format!("http://{address}/license")).send().await;
        let answer = Answer::read(asked.ok()?).await;
        (answer.status == 200).then_some(answer.text)
    })
    .await
}
