#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phasemeter_fuzz::run("plan", data));
