//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer server_message tests/fuzz/corpus/server_message`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::server_message::target(data));
