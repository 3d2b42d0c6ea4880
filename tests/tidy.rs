//! Keeps the house: what the compiler cannot refuse, this test does.
//!
//! Every rule is a function from a [`tree::Tree`] to what it found, so that each is tried twice:
//! on this repository, where it must find nothing, and on a tiny planted workspace that breaks
//! exactly that rule, where it must find the breach. It reads manifests and sources as text and
//! needs nothing of the library.

#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use std::path::Path;

use tree::{Finding, Tree};

/// One rule of the house.
type Rule = fn(&Tree) -> Vec<Finding>;

/// Asserts that this repository keeps a rule, naming every breach.
fn kept(rule: Rule) {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("a readable repository");
    assert!(tree.holds("Cargo.toml"), "read the wrong folder");
    let found = rule(&tree);
    let list: String = found
        .iter()
        .map(|finding| format!("\n  {finding}"))
        .collect();
    assert!(found.is_empty(), "{} finding(s):{list}", found.len());
}

#[test]
fn crates_know_only_those_below_them() {
    kept(manifests::who_knows_whom);
}

#[test]
fn each_contained_dependency_is_named_by_its_one_crate() {
    kept(manifests::contained);
}

#[test]
fn every_member_inherits_the_workspace() {
    kept(manifests::inherited);
}

#[test]
fn the_owners_choices_are_pinned_exactly() {
    kept(manifests::pinned);
}

#[test]
fn contained_dependencies_stay_in_their_files() {
    kept(sources::contained);
}

#[test]
fn protocol_and_kernel_are_pure() {
    kept(sources::pure);
}

#[test]
fn long_files_name_the_record_that_allows_them() {
    kept(sources::short);
}

#[test]
fn nothing_is_left_unfinished() {
    kept(sources::finished);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    kept(sources::portable);
}

#[test]
fn sources_have_unix_line_ends_and_no_tabs() {
    kept(sources::plain);
}

#[test]
fn product_words_stay_in_the_examples() {
    kept(words::neutral);
}
