//! Arbitrary bytes as an object: no panic, and only the committed object opens, frame by frame.
#![no_main]

use std::sync::OnceLock;

use backup_core::Secret;
use backup_crypto::{
    HEADER_LEN, KeyBundle, KeyRecord, KeySecret, ObjectHeader, ObjectKind, ObjectOpener, TAG_LEN,
};
use libfuzzer_sys::fuzz_target;

const KEY_FILE: &str = include_str!("../../crates/backup-crypto/tests/golden/v1/key-file.txt");
const RECORD: &[u8] = include_bytes!("../../crates/backup-crypto/tests/golden/v1/key-file.json");
const PACK: &[u8] = include_bytes!("../../crates/backup-crypto/tests/golden/v1/pack.bin");
const FIRST: &[u8] = b"the first frame";

fn bundle() -> &'static KeyBundle {
    static BUNDLE: OnceLock<KeyBundle> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        KeyRecord::from_bytes(RECORD)
            .and_then(|record| record.open(&KeySecret::KeyFile(Secret::new(KEY_FILE))))
            .expect("the golden record opens")
    })
}

fuzz_target!(|data: &[u8]| {
    let parsed = ObjectHeader::parse(data);
    let opened = ObjectOpener::new(bundle(), ObjectKind::Pack, [0x22; 16], data);
    assert!(opened.is_err() || data[..HEADER_LEN] == PACK[..HEADER_LEN], "opened a forged header");
    assert!(opened.is_err() || parsed.is_ok(), "opened what does not parse");

    // The same input as a frame under the genuine header.
    let opener = ObjectOpener::new(bundle(), ObjectKind::Pack, [0x22; 16], PACK)
        .expect("the golden object opens");
    let sealed = &PACK[HEADER_LEN..HEADER_LEN + FIRST.len() + TAG_LEN];
    let plaintext = opener.open(0, false, b"", data);
    assert!(plaintext.is_err() || data == sealed, "opened a forged frame");
});
