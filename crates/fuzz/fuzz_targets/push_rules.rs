//! [`fuzz::push_rules`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::push_rules::check(data));
