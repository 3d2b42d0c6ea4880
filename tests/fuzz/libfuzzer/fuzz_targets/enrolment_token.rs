//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer enrolment_token tests/fuzz/corpus/enrolment_token`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::enrolment_token::target(data));
