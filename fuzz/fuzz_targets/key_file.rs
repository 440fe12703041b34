//! Arbitrary text as a key file: no panic, and errors that do not repeat what was read.
#![no_main]

use backup_core::Secret;
use backup_crypto::KeySecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let secret = KeySecret::KeyFile(Secret::new(text));
    if let Err(error) = secret.recipient() {
        assert!(text.len() < 40 || !format!("{error:?}").contains(text), "the error shows the key");
    }
});
