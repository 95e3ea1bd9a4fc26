//! The target `bitget_private` under libFuzzer; what is done and what must hold stands in `fuzz-bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::run("bitget_private", data));
