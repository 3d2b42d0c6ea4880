//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer journal_segz tests/fuzz/corpus/journal_segz`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::journal_segz::target(data));
