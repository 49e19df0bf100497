//! [`fuzz::sliding_sync`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sliding_sync::check(data));
