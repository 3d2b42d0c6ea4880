//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer frame tests/fuzz/corpus/frame`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::frame::target(data));
