//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer note tests/fuzz/corpus/note`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::note::target(data));
