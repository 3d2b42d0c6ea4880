//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer journal_segment tests/fuzz/corpus/journal_segment`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::journal_segment::target(data));
