//! Arbitrary bytes as a key record: no panic, no allocation out of proportion, one spelling per
//! record, and nothing but the committed record opens.
#![no_main]

use backup_core::Secret;
use backup_crypto::{KeyKind, KeyRecord, KeySecret};
use libfuzzer_sys::fuzz_target;

const KEY_FILE: &str = include_str!("../../crates/backup-crypto/tests/golden/v1/key-file.txt");
const RECORDS: [&[u8]; 2] = [
    include_bytes!("../../crates/backup-crypto/tests/golden/v1/key-file.json"),
    include_bytes!("../../crates/backup-crypto/tests/golden/v1/writer.json"),
];

fuzz_target!(|data: &[u8]| {
    let Ok(record) = KeyRecord::from_bytes(data) else { return };
    let bytes = record.to_bytes().expect("a record that was read can be written");
    assert_eq!(KeyRecord::from_bytes(&bytes).expect("and read again"), record);
    let root = record.root;
    let signed = record.verify(&root).is_ok();
    // Stretching a passphrase is bounded, but far too slow to do thousands of times a second.
    if record.kind != KeyKind::Passphrase {
        let opened = record.open(&KeySecret::KeyFile(Secret::new(KEY_FILE)));
        assert!(signed || opened.is_err(), "opened without a valid signature");
        assert!(opened.is_err() || RECORDS.contains(&bytes.as_slice()), "opened a forgery");
    }
});
