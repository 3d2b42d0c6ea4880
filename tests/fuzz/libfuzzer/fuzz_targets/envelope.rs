//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer envelope tests/fuzz/corpus/envelope`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::envelope::target(data));
