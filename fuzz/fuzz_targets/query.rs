//! Any octets as a packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|packet: &[u8]| skydock_fuzz::query(packet));
