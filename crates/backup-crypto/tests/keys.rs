//! Key records: the right secret opens them, nothing else does, and no change goes unnoticed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use backup_core::{ErrorKind, KeyId, RepositoryId, Secret};
use backup_crypto::{
    KeyBundle, KeyKind, KeyRecord, KeySecret, ObjectKind, ObjectOpener, ObjectSealer, Role,
    generate_key_file,
};
use jiff::Timestamp;

const REPOSITORY: RepositoryId = RepositoryId([7; 16]);
const ID: KeyId = KeyId([5; 16]);

fn bundle() -> KeyBundle {
    KeyBundle::generate(REPOSITORY).unwrap()
}

fn passphrase(text: &str) -> KeySecret {
    KeySecret::Passphrase(Secret::new(text))
}

fn key_file() -> KeySecret {
    KeySecret::KeyFile(generate_key_file().unwrap())
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn seal(bundle: &KeyBundle, secret: &KeySecret) -> KeyRecord {
    KeyRecord::seal(bundle, ID, secret, "a key", now()).unwrap()
}

/// Two bundles hold the same keys if one opens what the other seals, and they sign alike.
fn same(one: &KeyBundle, other: &KeyBundle) -> bool {
    let sealer = ObjectSealer::new(one, ObjectKind::Pack, [1; 16], &[]).unwrap();
    ObjectOpener::new(other, ObjectKind::Pack, [1; 16], sealer.header()).is_ok()
        && one.root_public() == other.root_public()
        && one.writer_id() == other.writer_id()
        && one.chunk_ids().id(b"x") == other.chunk_ids().id(b"x")
        && one.gear_seed() == other.gear_seed()
}

#[test]
fn a_passphrase_opens_its_record() {
    let bundle = bundle();
    let record = seal(&bundle, &passphrase("two words\n"));
    let record = KeyRecord::from_bytes(&record.to_bytes().unwrap()).unwrap();
    assert_eq!((record.kind, record.role, record.epoch), (KeyKind::Passphrase, Role::Owner, 0));
    record.verify(&bundle.root_public()).unwrap();
    assert!(same(&bundle, &record.open(&passphrase("two words")).unwrap()));

    for wrong in [passphrase("two words "), passphrase("Two words"), passphrase(""), key_file()] {
        let error = record.open(&wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongKey, "{error:?}");
        assert!(error.remedy().unwrap().contains("passphrase"), "{error:?}");
    }
}

#[test]
fn a_key_file_opens_its_record() {
    let (bundle, secret) = (bundle(), key_file());
    let record = seal(&bundle, &secret);
    let record = KeyRecord::from_bytes(&record.to_bytes().unwrap()).unwrap();
    assert_eq!(record.kind, KeyKind::KeyFile);
    assert!(same(&bundle, &record.open(&secret).unwrap()));
    for wrong in [key_file(), passphrase("two words")] {
        assert_eq!(record.open(&wrong).unwrap_err().kind(), ErrorKind::WrongKey);
    }
}

#[test]
fn every_flipped_bit_of_a_record_is_refused() {
    let secret = key_file();
    let bytes = seal(&bundle(), &secret).to_bytes().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = KeyRecord::from_bytes(&flipped)
            .and_then(|record| record.open(&secret))
            .expect_err("a flipped bit");
        // Only the format number can become that of a newer program.
        let newer =
            error.kind() == ErrorKind::Unsupported && error.operation() == "read key record";
        assert!(newer || error.kind() == ErrorKind::Integrity, "bit {bit}: {error:?}");
    }
}

#[test]
fn an_edited_record_is_refused() {
    let (bundle, secret) = (bundle(), key_file());
    let record = seal(&bundle, &secret);
    let edits: [fn(&mut KeyRecord); 10] = [
        |record| record.id = KeyId([6; 16]),
        |record| record.repository = RepositoryId([8; 16]),
        |record| record.role = Role::Writer,
        |record| record.label.push('!'),
        |record| record.created_at = Timestamp::UNIX_EPOCH,
        |record| record.epoch += 1,
        |record| record.root[0] ^= 1,
        |record| record.writer[0] ^= 1,
        |record| record.epoch_public[0] ^= 1,
        |record| record.recipient[0] ^= 1,
    ];
    for (position, edit) in edits.iter().enumerate() {
        let mut edited = record.clone();
        edit(&mut edited);
        assert_eq!(edited.open(&secret).unwrap_err().kind(), ErrorKind::Integrity, "{position}");
        let verified = edited.verify(&bundle.root_public());
        assert_eq!(verified.unwrap_err().kind(), ErrorKind::Integrity, "{position}");
    }
    assert!(record.open(&secret).is_ok());
}

#[test]
fn newer_records_are_named_as_such() {
    let record = seal(&bundle(), &key_file());
    let text = String::from_utf8(record.to_bytes().unwrap()).unwrap();
    let newer = text.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, text);
    let error = KeyRecord::from_bytes(newer.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().unwrap().contains("newer version"), "{error:?}");

    // An added field cannot be slipped under the signature.
    let added = text.replacen('{', "{\"note\": 1,", 1);
    let record = KeyRecord::from_bytes(added.as_bytes()).unwrap();
    assert_eq!(record.verify(&record.root).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn a_reseal_reaches_everyone_without_their_secrets() {
    let mut owner = bundle();
    let (host, phrase) = (key_file(), passphrase("two words"));
    let writer = owner.writer().unwrap();
    let records = [
        seal(&owner, &phrase),
        KeyRecord::seal_writer(&owner, &writer, KeyId([6; 16]), &host, "host", now()).unwrap(),
    ];
    let before = owner.clone();
    owner.add_epoch().unwrap();
    let resealed = records.each_ref().map(|record| record.reseal(&owner).unwrap());

    let opened = resealed[0].open(&phrase).unwrap();
    assert!(same(&owner, &opened));
    let opened = resealed[1].open(&host).unwrap();
    assert_eq!((opened.role(), opened.current_epoch()), (Role::Writer, 1));
    assert_eq!(opened.writer_id(), writer.writer_id(), "a host keeps its name");
    assert!(!opened.can_read());
    assert_eq!(resealed[1].writer, writer.writer_public());

    // A bundle that fell behind, or rotated at the same time, must not take the newer epoch's
    // key away.
    assert_eq!(resealed[0].reseal(&before).unwrap_err().kind(), ErrorKind::Conflict);
    let mut meanwhile = before.clone();
    assert_eq!(meanwhile.add_epoch().unwrap(), owner.current_epoch());
    assert_eq!(resealed[0].reseal(&meanwhile).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(records[0].reseal(&meanwhile).is_ok());
    assert_eq!(records[0].reseal(&writer).unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(records[0].reseal(&bundle()).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn only_owners_admit_keys() {
    let owner = bundle();
    let writer = owner.writer().unwrap();
    let refuse = |granted: &KeyBundle| {
        KeyRecord::seal_writer(granted, &writer, ID, &key_file(), "", now()).unwrap_err().kind()
    };
    assert_eq!(refuse(&writer), ErrorKind::WrongKey);
    assert_eq!(refuse(&bundle()), ErrorKind::Usage, "another repository's owner");
}

#[test]
fn a_bare_recipient_pins_the_root() {
    let (owner, secret) = (bundle(), key_file());
    let recipient = secret.recipient().unwrap();
    let record = KeyRecord::seal_to_recipient(&owner, &owner, ID, recipient, "", now()).unwrap();
    assert_eq!(record.kind, KeyKind::Recipient);
    assert_eq!(record.open(&secret).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(same(&owner, &record.open_pinned(&secret, &owner.root_public()).unwrap()));
    let other = record.open_pinned(&secret, &bundle().root_public());
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Integrity);
    let other = record.open_pinned(&key_file(), &owner.root_public());
    assert_eq!(other.unwrap_err().kind(), ErrorKind::WrongKey);
    // A pinned root works for every kind.
    assert!(seal(&owner, &secret).open_pinned(&secret, &owner.root_public()).is_ok());

    let low_order = KeyRecord::seal_to_recipient(&owner, &owner, ID, [0; 32], "", now());
    assert_eq!(low_order.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(passphrase("x").recipient().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn useless_secrets_and_labels_are_refused() {
    let bundle = bundle();
    for (secret, label) in [
        (passphrase(""), "label"),
        (passphrase("\n"), "label"),
        (passphrase("two words"), "\x1b[2J"),
        (passphrase("two words"), &"x".repeat(201)),
    ] {
        let error = KeyRecord::seal(&bundle, ID, &secret, label, now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
        assert!(error.remedy().is_some());
    }
}

#[test]
fn records_and_secrets_print_no_secret() {
    let (bundle, secret) = (bundle(), passphrase("two words"));
    let record = seal(&bundle, &secret);
    let printed = format!("{record:?} {secret:?} {}", record.open(&key_file()).unwrap_err());
    assert!(!printed.contains("two words"));
    let json = String::from_utf8(record.to_bytes().unwrap()).unwrap();
    let gear: String = bundle.gear_seed().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!json.contains(&gear) && !json.contains("two words"));
}
