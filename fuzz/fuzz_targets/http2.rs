//! Fuzzes `stead_fuzz_targets::http2`.

#![no_main]
#![forbid(unsafe_code)]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stead_fuzz_targets::http2(input));
