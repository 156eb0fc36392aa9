//! See [`patrol_fuzz::scenario`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patrol_fuzz::scenario(data));
