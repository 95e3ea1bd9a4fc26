//! The target `records` under libFuzzer; what is done and what must hold stands in `fuzz-bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::run("records", data));
