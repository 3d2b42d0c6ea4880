//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer spiffe_id tests/fuzz/corpus/spiffe_id`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::spiffe_id::target(data));
