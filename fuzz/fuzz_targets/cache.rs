//! Any history of replies and questions.
#![no_main]

libfuzzer_sys::fuzz_target!(|history: &[u8]| skydock_fuzz::cache(history));
