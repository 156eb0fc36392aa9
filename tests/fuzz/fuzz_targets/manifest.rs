//! See [`patrol_fuzz::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patrol_fuzz::manifest(data));
