//! The target `fault_script` under libFuzzer; what is done and what must hold stands in `fuzz-bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::run("fault_script", data));
