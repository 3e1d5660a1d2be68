//! Fuzzes `stead_fuzz_targets::proxy_header`.

#![no_main]
#![forbid(unsafe_code)]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stead_fuzz_targets::proxy_header(input));
