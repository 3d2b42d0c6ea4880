//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer provider_token tests/fuzz/corpus/provider_token`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::provider_token::target(data));
