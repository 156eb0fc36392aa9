//! See [`patrol_fuzz::component`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patrol_fuzz::component(data));
