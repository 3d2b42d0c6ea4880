//! What goes over the wire: a socket that records one request and gives one answer. That the real
//! admin API understands it is shown from outside.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    thread::JoinHandle,
};

use provost_certs::files;

use super::{ID, parse};
use crate::cli::{Ask, Asking, Command, Exit, Failure, Printing};

/// Gives one answer for each of `answers`; afterwards says what was asked, each as request line,
/// authorization and body.
fn kernel(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<[String; 3]>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|(status, body)| answer(&listener, status, &body))
            .collect()
    });
    (url, asked)
}

fn answer(listener: &TcpListener, status: u16, body: &str) -> [String; 3] {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let found = lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let authorization = header("authorization");
    [
        lines.swap_remove(0),
        authorization,
        String::from_utf8(sent).unwrap(),
    ]
}

/// Runs a line that asks the kernel at `url`.
fn run(line: &str, url: &str, key_file: &Path) -> Result<(), Failure> {
    fn go<C: clap::Subcommand + Ask>(asked: Printing<Asking<C>>) -> Result<(), Failure> {
        asked.run(Asking::run)
    }
    let line = line.replace(" T", &format!(" {ID}"));
    let line = format!(
        "{line} --admin {url} --key-file {} --output json",
        key_file.display()
    );
    match parse(&line).unwrap().command {
        Command::Tenant(asking) => go(asking),
        Command::Grant(asking) => go(asking),
        Command::Token(asking) => go(asking),
        other => panic!("{other:?}"),
    }
}

fn key_file(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("admin.key");
    files::write_private(&path, b"pvk_secret\n").unwrap();
    path
}

fn tenant() -> String {
    serde_json::json!({
        "tenant_id": ID, "type": "company", "name": "Acme", "status": "active",
        "policies": {"security_level": "standard", "data_residency": null}, "operator": null,
        "time_zone": "UTC", "created": "2026-11-22T05:35:28.000Z", "epoch": 1, "seq": 1,
        "revision": 0, "entitlements": 0, "providers": 0, "attachments": 0, "runtimes": 0,
        "individuals": 0, "something_new": 1,
    })
    .to_string()
}

#[test]
fn a_change_carries_the_key_of_the_file_and_the_body_of_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let (url, asked) = kernel(vec![(201, tenant())]);
    run("provost tenant create Acme", &url, &key_file(dir.path())).unwrap();
    let [line, authorization, body] = asked.join().unwrap().remove(0);
    assert_eq!(line, "POST /v1/tenants HTTP/1.1");
    assert_eq!(authorization, "Bearer pvk_secret");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["name"], &body["type"]),
        (&"Acme".into(), &"company".into())
    );
}

#[test]
fn a_list_is_read_page_after_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = |next: &str| format!(r#"{{"items":[{}],"next_cursor":{next}}}"#, tenant());
    let (url, asked) = kernel(vec![(200, page("\"a&b\"")), (200, page("null"))]);
    run("provost tenant list", &url, &key_file(dir.path())).unwrap();
    let lines: Vec<String> = asked
        .join()
        .unwrap()
        .into_iter()
        .map(|[line, ..]| line)
        .collect();
    assert_eq!(
        lines,
        [
            "GET /v1/tenants?limit=100 HTTP/1.1",
            "GET /v1/tenants?limit=100&page%5Bcursor%5D=a%26b HTTP/1.1"
        ]
    );
}

#[test]
fn an_entitlement_is_named_in_the_query_when_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let problem = r#"{"type":"t","title":"t","status":404,"detail":"not found","code":"not_found",
        "correlation_id":"01890a5d-ac96-774b-bcce-b302099a8057"}"#;
    let (url, asked) = kernel(vec![(404, problem.to_owned())]);
    let refused = run("provost grant remove T a.b:c", &url, &key_file(dir.path())).unwrap_err();
    let line = &asked.join().unwrap()[0][0];
    assert_eq!(
        *line,
        format!("DELETE /v1/tenants/{ID}/entitlements?feature=a.b%3Ac HTTP/1.1")
    );
    assert_eq!(refused.exit(), Exit::Refused);
    assert_eq!(
        refused.to_string(),
        format!("not found (code not_found, correlation {ID})")
    );
}

#[test]
fn a_kernel_that_is_not_there_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    // Bound and dropped: nobody listens there.
    let url = format!(
        "http://{}",
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    );
    let failure = run("provost tenant show T", &url, &key_file(dir.path())).unwrap_err();
    assert_eq!(failure.exit(), Exit::Unreachable);
    assert!(failure.to_string().contains("provost serve"), "{failure}");
}

#[test]
fn an_answer_that_is_no_kernels_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let (url, asked) = kernel(vec![(502, "<html>".to_owned())]);
    let failure = run("provost tenant show T", &url, &key_file(dir.path())).unwrap_err();
    asked.join().unwrap();
    assert_eq!(failure.exit(), Exit::Internal);
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = key_file(dir.path());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = run("provost tenant show T", "http://127.0.0.1:9", &path).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(!failure.to_string().contains("pvk_"), "{failure}");
}
