//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer index_file tests/fuzz/corpus/index_file`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::index_file::target(data));
