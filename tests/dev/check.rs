//! `provost dev --check`, and what it is worth: each thing broken on purpose is found.

use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn every_step_holds() {
    let output = check(&[]);
    let steps = steps(&output);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(steps.len(), 15);
    assert!(steps.iter().all(|step| step["held"] == true));
}

#[test]
fn a_missing_grant_is_found_where_the_course_should_open() {
    fails_at("grant-missing", "allowed");
}

#[test]
fn a_flipped_bit_is_found_where_the_license_is_verified() {
    fails_at("license-bit-flipped", "license");
}

#[test]
fn a_foreign_ca_is_found_where_the_runtime_should_register() {
    fails_at("foreign-ca", "register");
}

#[test]
fn a_deleted_spool_is_found_where_it_should_be_delivered() {
    fails_at("spool-deleted", "recovery");
}

#[test]
fn a_lost_event_is_found_where_the_state_should_be_the_same() {
    fails_at("event-lost", "recovery");
}

#[test]
fn an_undelivered_suspension_is_found_where_the_runtime_should_be_told() {
    fails_at("suspend-not-delivered", "suspend");
}

fn fails_at(sabotage: &str, wanted: &str) {
    let output = check(&["--sabotage", sabotage]);
    let steps = steps(&output);
    let failed: Vec<&Value> = steps.iter().filter(|step| step["held"] == false).collect();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert_eq!(failed.len(), 1, "{}", told(&output));
    assert_eq!(failed[0]["step"], wanted, "{}", told(&output));
    let last_words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        last_words.contains(&format!("step {wanted} did not hold")),
        "{last_words}"
    );
    remove_what_was_kept(&last_words);
}

fn check(more: &[&str]) -> Output {
    let provost = env!("CARGO_BIN_EXE_provost");
    Command::new(provost)
        .args(["dev", "--check", "--json"])
        .args(more)
        .output()
        .unwrap()
}

fn steps(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}\n{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// A failed check keeps its folder; here it is known why it failed.
fn remove_what_was_kept(last_words: &str) {
    if let Some((_, folder)) = last_words.trim_end().rsplit_once("kept in ") {
        let _ = std::fs::remove_dir_all(folder);
    }
}
