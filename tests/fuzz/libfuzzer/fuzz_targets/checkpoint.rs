//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer checkpoint tests/fuzz/corpus/checkpoint`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::checkpoint::target(data));
