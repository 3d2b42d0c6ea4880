//! The walk that `provost dev` prints, run as printed.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::tool::output_of;

#[test]
fn the_walk_that_dev_prints_runs_as_it_is_printed() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev(Command::new(env!("CARGO_BIN_EXE_provost"))
        .args(["dev", "--data"])
        .arg(home.path().join("dev"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap());
    let lines = BufReader::new(dev.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let walk: Vec<String> = lines
        .skip_while(|line| !line.starts_with("# with the runtime's own certificate"))
        .take_while(|line| !line.starts_with("# end of the walk"))
        .collect();
    assert!(!walk.is_empty(), "provost dev printed no walk");

    let said = output_of("sh", &["-e"], walk.join("\n").as_bytes());

    for wanted in [
        r#""status":"active""#,
        r#""allowed":true"#,
        r#""allowed":false"#,
        r#""seq":"#,
        r#""status":"suspended""#,
        "BEGIN LICENSE FILE",
    ] {
        assert!(said.contains(wanted), "no {wanted} in:\n{said}");
    }
    assert!(
        !said.contains(r#""code":"#),
        "something was refused:\n{said}"
    );
}

/// Ends with the test, and its children with it.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
