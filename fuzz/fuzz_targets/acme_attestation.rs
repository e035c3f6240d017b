#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| cradle_fuzz::wire::acme_attestation(octets));
