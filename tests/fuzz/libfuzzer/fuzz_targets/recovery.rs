//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer recovery tests/fuzz/corpus/recovery`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::recovery::target(data));
