//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer config tests/fuzz/corpus/config`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::config::target(data));
