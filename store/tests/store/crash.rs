//! A killed process loses nothing that it acknowledged.

use std::process::Command;

use crate::rounds::rounds;

#[test]
fn ten_kills_lose_nothing_acknowledged_and_leave_a_state_equal_to_its_rebuild() {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().unwrap().parent().unwrap();
    let program = profile.join("examples").join("writer");
    let seed = rand::random();
    // Shown when the test fails; with it, `--example crash_rounds` repeats the kills.
    println!("seed {seed}");
    let summary = rounds(10, seed, |dir| {
        let mut writer = Command::new(&program);
        writer.arg(dir);
        writer
    });
    assert_eq!(summary.rounds, 10);
    assert!(summary.acknowledged > 0, "{summary}");
}
