//! Any RRset, written into a reply.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| skydock_fuzz::write(input));
