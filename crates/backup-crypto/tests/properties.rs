//! Properties over arbitrary input.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::OnceLock;

use backup_core::{ErrorKind, RepositoryId, Secret};
use backup_crypto::{
    KeyBundle, KeyRecord, KeySecret, ObjectHeader, ObjectKind, ObjectOpener, ObjectSealer, TAG_LEN,
    generate_key_file,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn bundle() -> &'static KeyBundle {
    static BUNDLE: OnceLock<KeyBundle> = OnceLock::new();
    BUNDLE.get_or_init(|| KeyBundle::generate(RepositoryId([7; 16])).unwrap())
}

fn key_file_error(text: &str) -> backup_core::Error {
    KeySecret::KeyFile(Secret::new(text)).recipient().expect_err("a typo")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_come_back_in_any_order(
        frames in vec((vec(any::<u8>(), 0..3000), vec(any::<u8>(), 0..600)), 1..6),
        object: [u8; 16],
    ) {
        let mut sealer = ObjectSealer::new(bundle(), ObjectKind::Index, object, &[]).unwrap();
        let mut sealed = Vec::new();
        let mut ends = vec![0];
        for (ordinal, (plaintext, extra)) in frames.iter().enumerate() {
            sealer.seal(ordinal + 1 == frames.len(), extra, plaintext, &mut sealed).unwrap();
            ends.push(sealed.len());
        }
        let opener = ObjectOpener::new(bundle(), ObjectKind::Index, object, sealer.header()).unwrap();
        for (ordinal, (plaintext, extra)) in frames.iter().enumerate().rev() {
            let frame = &sealed[ends[ordinal]..ends[ordinal + 1]];
            prop_assert_eq!(frame.len(), plaintext.len() + TAG_LEN);
            let last = ordinal + 1 == frames.len();
            prop_assert_eq!(&opener.open(ordinal as u64, last, extra, frame).unwrap(), plaintext);
            prop_assert!(opener.open(ordinal as u64, !last, extra, frame).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(ObjectHeader::parse(&bytes).is_err());
        prop_assert!(ObjectOpener::new(bundle(), ObjectKind::Pack, [1; 16], &bytes).is_err());
        prop_assert!(KeyRecord::from_bytes(&bytes).is_err());
        let sealer = ObjectSealer::new(bundle(), ObjectKind::Pack, [1; 16], &[]).unwrap();
        let opener = ObjectOpener::new(bundle(), ObjectKind::Pack, [1; 16], sealer.header()).unwrap();
        prop_assert!(opener.open(0, true, b"", &bytes).is_err());
    }

    #[test]
    fn a_wrong_character_in_a_key_file_is_found_and_its_group_named(
        group in 0usize..13, place in 0usize..5, with in 0usize..32,
    ) {
        let text = generate_key_file().unwrap();
        let alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let position = "BKEY1-".len() + group * 6 + place;
        let mut typo = text.expose().to_owned();
        typo.replace_range(position..=position, &alphabet[with..=with]);
        prop_assume!(typo != text.expose());
        let error = key_file_error(&typo);
        prop_assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        prop_assert!(error.context().contains(&("group", (group + 1).to_string())), "{:?}", error);
        prop_assert!(error.remedy().is_some());
        let (printed, characters) = (format!("{error:?}"), &typo[position - place..][..5]);
        prop_assert!(!printed.contains(characters));
    }

    #[test]
    fn swapped_neighbours_and_groups_are_found(group in 0usize..13, place in 0usize..4) {
        let text = generate_key_file().unwrap();
        let position = "BKEY1-".len() + group * 6 + place;
        let mut swapped: Vec<char> = text.expose().chars().collect();
        swapped.swap(position, position + 1);
        let swapped: String = swapped.into_iter().collect();
        if swapped != text.expose() {
            let error = key_file_error(&swapped);
            prop_assert!(error.context().contains(&("group", (group + 1).to_string())));
        }
        let mut groups: Vec<&str> = text.expose().split('-').collect();
        groups.swap(group + 1, (group + 1) % 13 + 1);
        prop_assert_eq!(key_file_error(&groups.join("-")).kind(), ErrorKind::ConfigInvalid);
    }

    #[test]
    fn handwriting_does_not_matter(separator in "[ \n\t-]{0,3}", lower: bool) {
        let text = generate_key_file().unwrap();
        let expected = KeySecret::KeyFile(text.clone()).recipient().unwrap();
        let mut written = text.expose().replace('-', &separator);
        if lower {
            written = written.to_lowercase().replace('0', "o").replace('1', "l");
            written.replace_range(..5, "bkey1");
        }
        let written = format!("# the office's key\n  {written}\r\n\n");
        let read = KeySecret::KeyFile(Secret::new(written)).recipient().unwrap();
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn other_text_is_named_for_what_it_is() {
    let text = generate_key_file().unwrap();
    let text = text.expose();
    for (given, reason) in [
        ("", "it does not start with BKEY1"),
        ("-----BEGIN PRIVATE KEY-----", "it does not start with BKEY1"),
        (&text[..text.len() - 1], "it has the wrong number of characters"),
        (&format!("{text}0"), "it has the wrong number of characters"),
        (&text.replacen("BKEY1-", "BKEY1-U", 1), "a group has a character that keys do not use"),
        (&format!("{}00000", &text[..text.len() - 5]), "the groups do not belong together"),
    ] {
        let error = key_file_error(given);
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.context().contains(&("reason", reason.to_owned())), "{reason}: {error:?}");
    }
}
