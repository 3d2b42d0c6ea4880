//! The daemon as a process: alone in its folder, stopped in peace, watched by its supervisor.

use std::{os::unix::net::UnixDatagram, time::Duration};

use serde_json::json;

use crate::world::{Kernel, Start, provost};

#[tokio::test]
async fn a_second_daemon_on_the_same_folder_refuses() {
    let kernel = Kernel::start().await;
    let config = kernel.folder().join("second.toml");
    let data = toml::Value::String(kernel.data().display().to_string());
    let text = format!(
        "data_dir = {data}\n[runtime]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&config, text).unwrap();

    let second = provost(&["serve", "--config", config.to_str().unwrap()]);

    assert!(!second.status.success(), "{second:?}");
    let words = String::from_utf8_lossy(&second.stderr).to_lowercase();
    assert!(words.contains("in use"), "{words}");
    kernel.get("/v1/status").await.must(200);
}

#[tokio::test]
async fn a_kernel_told_to_stop_answers_what_is_open() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "exports", "limit": 1_000_000}))
        .await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    let mut answered = 0_u64;

    for round in 0..40 {
        let key = format!("order-{round}");
        let consume = runtime.consume(&kernel, ("exports", 1), &key);
        if round == 20 {
            // Told while the request is on its way, on a connection that is open.
            let (answer, ()) = tokio::join!(consume, async { kernel.terminate() });
            assert_eq!(answer.status, 200, "{answer:?}");
            answered += 1;
            break;
        }
        consume.await.must(200);
        answered += 1;
    }
    let (status, log) = kernel.ended().await;
    assert!(status.success(), "{status}\n{log}");
    assert!(
        log.contains("\"stopped\"") && !log.contains("\"level\":\"ERROR\""),
        "{log}"
    );

    kernel.serve().await;
    let check = runtime.check(&kernel, "exports").await.must(200);
    assert_eq!(check.json["limits"]["used"], answered);
}

#[tokio::test]
async fn the_supervisor_hears_of_start_life_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let env = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "400000"),
    ];
    let env = env
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let mut kernel = Kernel::start_as(Start {
        env,
        ..Start::default()
    })
    .await;

    let heard = async |word: &'static str| {
        let supervisor = supervisor.try_clone().unwrap();
        let listening = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = supervisor
                    .recv(&mut buffer)
                    .expect("the supervisor hears nothing");
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if text.lines().any(|line| line == word) {
                    return;
                }
            }
        });
        listening.await.unwrap();
    };
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    heard("WATCHDOG=1").await;
    kernel.terminate();
    heard("STOPPING=1").await;
    let (status, log) = kernel.ended().await;
    assert!(status.success(), "{status}\n{log}");
}
