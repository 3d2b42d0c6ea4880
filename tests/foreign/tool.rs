//! Running what is not ours.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::world::{Kernel, Runtime};

/// Runs a tool to its end, within the deadline; it must be there.
pub(crate) fn run(tool: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("timeout")
        .args([WITHIN_SECONDS, tool])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A tool may end without reading: what it says then is what counts.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    let code = output.status.code();
    assert!(
        !matches!(code, Some(124..=127)),
        "{tool} is missing, cannot run or hangs: {output:?}"
    );
    output
}

/// What a tool wrote, which must have succeeded.
pub(crate) fn output_of(tool: &str, args: &[&str], input: &[u8]) -> String {
    let output = run(tool, args, input);
    assert!(output.status.success(), "{tool} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What curl heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) json: Value,
    /// The port at curl's end of the connection.
    pub(crate) local_port: u16,
}

impl Heard {
    /// Says that it must have this status.
    pub(crate) fn must(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Makes one call with curl, as a shell script beside the product would.
pub(crate) fn curl(kernel: &Kernel, runtime: &Runtime, path: &str, body: &Value) -> Heard {
    let folder = kernel.folder();
    let (key, certificate) = (folder.join("client.key"), folder.join("client.pem"));
    std::fs::write(&key, &runtime.key_pem).unwrap();
    std::fs::write(&certificate, &runtime.certificate_pem).unwrap();
    let root = kernel.data().join("root.pem");
    let url = format!("https://localhost:{}{path}", kernel.port().port());
    let headers: Vec<String> = runtime
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut args = vec![
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--cert",
        arg(&certificate),
    ];
    args.extend([
        "--key",
        arg(&key),
        "--cacert",
        arg(&root),
        "--data-binary",
        "@-",
    ]);
    args.extend(
        headers
            .iter()
            .flat_map(|header| ["--header", header.as_str()]),
    );
    args.extend(["--write-out", "\n%{http_code} %{local_port}", url.as_str()]);
    let text = output_of("curl", &args, body.to_string().as_bytes());
    let (body, end) = text.rsplit_once('\n').unwrap();
    let (status, local_port) = end.split_once(' ').unwrap();
    Heard {
        status: status.parse().unwrap(),
        json: serde_json::from_str(body).unwrap(),
        local_port: local_port.parse().unwrap(),
    }
}

/// A debug build on a machine that compiles beside it.
const WITHIN_SECONDS: &str = "60";
