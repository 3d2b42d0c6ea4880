//! The units, read by systemd itself: `systemd-analyze verify` over a scratch root that holds
//! units and binary at the places they are installed to.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot prepare its test fails it"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

#[test]
fn systemd_accepts_both_units() {
    let root = scratch_root(|unit| unit);
    for unit in UNITS {
        let output = verify(root.path(), unit);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{unit}: {said}");
        assert_eq!(said.trim(), "", "{unit} is accepted, but not in silence");
    }
}

#[test]
fn systemd_refuses_a_unit_whose_line_it_does_not_know() {
    let root = scratch_root(|unit| unit.replace("ProtectHome=yes", "ProtectHouse=yes"));
    for unit in UNITS {
        let output = verify(root.path(), unit);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("ProtectHouse"), "{unit}: {said}");
    }
}

#[test]
fn systemd_refuses_a_unit_whose_binary_is_not_there() {
    let root = scratch_root(|unit| unit.replace("/usr/bin/provost", "/usr/bin/elsewhere"));
    for unit in UNITS {
        let output = verify(root.path(), unit);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("elsewhere"),
            "{unit}: {said}"
        );
    }
}

#[test]
fn every_hardening_line_is_explained_by_a_comment_above_it() {
    for unit in UNITS {
        let text = fs::read_to_string(units().join(unit)).unwrap();
        let hardening = text
            .lines()
            .skip_while(|line| *line != "# Never gains a right it did not start with.");
        let lines: Vec<&str> = hardening.take_while(|line| *line != "[Install]").collect();
        let pairs: Vec<_> = lines
            .windows(2)
            .filter(|pair| pair[1].contains('=') && !pair[1].starts_with('#'))
            .collect();
        assert!(
            pairs.len() > 15,
            "{unit}: the hardening block was not found"
        );
        for pair in pairs {
            assert!(
                pair[0].starts_with("# "),
                "{unit}: nothing explains `{}`",
                pair[1]
            );
        }
    }
}

/// A root with the units, changed, and a file that can be executed where the binary will be.
fn scratch_root(change: impl Fn(String) -> String) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let installed = root.path().join("usr/lib/systemd/system");
    let binary = root.path().join("usr/bin/provost");
    fs::create_dir_all(&installed).unwrap();
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_provost"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    for unit in UNITS {
        let text = fs::read_to_string(units().join(unit)).unwrap();
        fs::write(installed.join(unit), change(text)).unwrap();
    }
    root
}

fn verify(root: &Path, unit: &str) -> Output {
    Command::new("systemd-analyze")
        .arg("verify")
        .arg(format!("--root={}", root.display()))
        .args(["--recursive-errors=no", "--man=no", unit])
        .output()
        .expect("systemd-analyze is one of the foreign tools .ci/run installs")
}

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

const UNITS: [&str; 2] = ["provost.service", "provost-connector.service"];
