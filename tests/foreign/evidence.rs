//! A tenant's log, proved to strangers: `provost audit prove` and `export` of a real daemon, judged
//! by the scripts of `examples/verify`, by `curl`, and by Cloudflare's crates. What was changed,
//! moved, dropped or reordered is believed by none of them.

mod history;
mod proofs;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    tool::{arg, output_of, run},
    world::{Kernel, provost},
};

/// A kernel with a tenant that has a log.
pub(crate) struct Scene {
    kernel: Kernel,
    tenant: String,
    key: PathBuf,
    folder: tempfile::TempDir,
}

impl Scene {
    /// A tenant with so many audit events behind those of its beginning.
    async fn with(count: usize) -> Self {
        let kernel = Kernel::start().await;
        let tenant = kernel.company().await;
        let mut runtime = kernel.runtime(&tenant, "on_prem").await;
        runtime.version = "v0.2";
        let event = |n: usize| runtime.event(json!({"page": n, "said": "Grüße, «мир»"}));
        let events: Vec<_> = (0..count).map(event).collect();
        runtime.audit(&kernel, &json!(events)).await.must(202);
        Self {
            key: kernel.data().join("admin.key"),
            folder: tempfile::tempdir().unwrap(),
            kernel,
            tenant,
        }
    }

    /// How many events the tenant's log has.
    async fn size(&self) -> u64 {
        let path = format!("/v1/tenants/{}", self.tenant);
        self.kernel.get(&path).await.u64("seq")
    }

    /// Runs a command that asks the kernel; it must succeed.
    fn audit(&self, args: &[&str]) -> String {
        let admin = format!("http://{}", self.kernel.admin_port());
        let mut words = vec!["audit"];
        words.extend(args);
        words.extend(["--admin", &admin, "--key-file", arg(&self.key)]);
        let done = provost(&words);
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Writes the proof of one event.
    fn prove(&self, seq: u64, folder: &Path) {
        let seq = seq.to_string();
        self.audit(&["prove", &self.tenant, &seq, "--out", arg(folder)]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs one of the scripts with the system's own Python, for which the package of the cryptography
/// library is made; answers whether it believed, and what it said.
fn script(name: &str, args: &[&Path]) -> (bool, String) {
    let script = format!("{}/examples/verify/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut words = vec!["-B", script.as_str()];
    words.extend(args.iter().map(|path| arg(path)));
    let output = run("/usr/bin/python3", &words, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    let believed = output.status.success();
    assert_eq!(believed, said.starts_with("VERIFIED"), "{said}{complaint}");
    assert_eq!(
        !believed,
        complaint.starts_with("NOT VERIFIED: "),
        "{said}{complaint}"
    );
    (believed, format!("{said}{complaint}"))
}

/// Runs `provost audit verify`; answers its exit code and what it printed.
fn verify(args: &[&str]) -> (i32, serde_json::Value) {
    let mut words = vec!["audit", "verify", "--output", "json"];
    words.extend(args);
    let done = provost(&words);
    let json = serde_json::from_slice(&done.stdout).unwrap_or_default();
    (done.status.code().unwrap(), json)
}

/// Asks the admin API with curl and nothing else.
fn curl_admin(scene: &Scene, path: &str) -> serde_json::Value {
    let key = std::fs::read_to_string(&scene.key).unwrap();
    let url = format!("http://{}{path}", scene.kernel.admin_port());
    // On standard input, as a script would: an argument is seen by everybody on the machine.
    let config = format!("header = \"Authorization: Bearer {}\"\n", key.trim());
    let args = ["-sS", "--fail", "--noproxy", "*", "--config", "-", &url];
    serde_json::from_str(&output_of("curl", &args, config.as_bytes())).unwrap()
}
