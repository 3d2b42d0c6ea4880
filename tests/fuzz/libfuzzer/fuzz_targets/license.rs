//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer license tests/fuzz/corpus/license`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::license::target(data));
