//! Any octets as what upstreams send.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| skydock_fuzz::reply(octets));
