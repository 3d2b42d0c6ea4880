//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer csr tests/fuzz/corpus/csr`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::csr::target(data));
