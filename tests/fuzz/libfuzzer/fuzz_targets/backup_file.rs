//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer backup_file tests/fuzz/corpus/backup_file`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost_fuzz::backup_file::target(data));
