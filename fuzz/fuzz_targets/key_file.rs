//! Arbitrary text as a key file: no panic, and errors that say what to do and never grow with
//! what was read, because they do not repeat it.
#![no_main]

use backup_core::{ErrorKind, Secret};
use backup_crypto::KeySecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let recipient = |text: &str| KeySecret::KeyFile(Secret::new(text)).recipient();
    match recipient(text) {
        Ok(public) => {
            let commented = format!("# a comment\n\n {}\r\n", text.to_ascii_lowercase());
            assert_eq!(recipient(&commented).expect("case and space do not matter"), public);
            // In a text that begins otherwise, a key is one paragraph among others.
            if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("BKEY1")) {
                assert!(recipient(&format!("{text}\n0")).is_err(), "one character too many");
            }
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.remedy().is_some() && format!("{error:?}").len() < 300);
        }
    }
});
