//! [`fuzz::app_server_frames`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::app_server_frames::check(data));
