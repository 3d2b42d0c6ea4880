//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer audit_event tests/fuzz/corpus/audit_event`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::audit_event::target(data));
