//! Any history of names and endpoints, and questions in between.
#![no_main]

libfuzzer_sys::fuzz_target!(|history: &[u8]| skydock_fuzz::snapshot(history));
