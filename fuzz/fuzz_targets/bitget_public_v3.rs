//! The target `bitget_public_v3` under libFuzzer; what is done and what must hold stands in `fuzz-bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::run("bitget_public_v3", data));
