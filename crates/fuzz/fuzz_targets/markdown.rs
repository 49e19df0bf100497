//! [`fuzz::markdown`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::markdown::check(data));
