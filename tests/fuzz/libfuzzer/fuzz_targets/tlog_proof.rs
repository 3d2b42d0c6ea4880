//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer tlog_proof tests/fuzz/corpus/tlog_proof`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::tlog_proof::target(data));
