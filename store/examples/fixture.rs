//! Writes fixtures in today's formats: `cargo run -p provost-store --example fixture -- FOLDER`
//! makes `store` and `spool` in it, each beside the JSON of what must be in it (docs/formats.md).
//! Compress `store/state/db` with `zstd --rm` before it is committed.

#![expect(clippy::unwrap_used, reason = "a failure is to be seen at once")]

#[path = "../tests/store/answers.rs"]
#[expect(dead_code, reason = "shared with the tests, which ask for more")]
mod answers;
#[path = "../tests/store/commands.rs"]
mod commands;
#[path = "../tests/store/log.rs"]
mod log;
#[path = "../tests/formats/written.rs"]
mod written;

use std::{fs, path::Path, process::ExitCode};

use provost_store::Store;
use serde_json::Value;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        return ExitCode::from(2);
    };
    let folder = Path::new(&folder);
    let (store, spool) = (folder.join("store"), folder.join("spool"));
    fs::create_dir_all(&store).unwrap();
    fs::create_dir_all(&spool).unwrap();
    written::store(&store);
    written::spool(&spool);
    write(&folder.join("spool.json"), &written::of_spool(&spool));
    let (opened, _) = Store::open(&store, answers::options(written::SEGMENT_BYTES)).unwrap();
    write(&folder.join("store.json"), &written::of_store(&opened));
    opened.close(written::PATIENCE).unwrap();
    ExitCode::SUCCESS
}

fn write(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}\n")).unwrap();
}
