//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer client_message tests/fuzz/corpus/client_message`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::client_message::target(data));
