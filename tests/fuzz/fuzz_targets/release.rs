//! See [`patrol_fuzz::release`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patrol_fuzz::release(data));
