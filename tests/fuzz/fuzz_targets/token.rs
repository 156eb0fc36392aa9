//! See [`patrol_fuzz::token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patrol_fuzz::token(data));
