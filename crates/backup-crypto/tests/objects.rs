//! Objects: what is opened is what was sealed, where it was sealed, or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use backup_core::{ErrorKind, RepositoryId, Result};
use backup_crypto::{
    HEADER_LEN, KeyBundle, ObjectHeader, ObjectKind, ObjectOpener, ObjectSealer, TAG_LEN,
    verify_signature, verify_writer,
};

const REPOSITORY: RepositoryId = RepositoryId([7; 16]);
const OBJECT: [u8; 16] = [9; 16];
const FRAMES: [&[u8]; 3] = [b"first frame", b"", b"the last frame of three"];

fn bundle() -> KeyBundle {
    KeyBundle::generate(REPOSITORY).unwrap()
}

/// Seals the frames; returns the header and the sealed frames.
fn seal(bundle: &KeyBundle, object: [u8; 16]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut sealer = ObjectSealer::new(bundle, ObjectKind::Pack, object, &[]).unwrap();
    let frames = FRAMES
        .iter()
        .enumerate()
        .map(|(ordinal, plaintext)| {
            let mut out = Vec::new();
            sealer.seal(ordinal + 1 == FRAMES.len(), b"extra", plaintext, &mut out).unwrap();
            assert_eq!(out.len(), plaintext.len() + TAG_LEN);
            out
        })
        .collect();
    (sealer.header().to_vec(), frames)
}

fn open(bundle: &KeyBundle, header: &[u8], frames: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let opener = ObjectOpener::new(bundle, ObjectKind::Pack, OBJECT, header)?;
    frames
        .iter()
        .enumerate()
        .map(|(ordinal, sealed)| {
            opener.open(ordinal as u64, ordinal + 1 == frames.len(), b"extra", sealed)
        })
        .collect()
}

fn refused(result: Result<impl std::fmt::Debug>, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Integrity, "{what}: {error:?}");
}

#[test]
fn round_trip() {
    let bundle = bundle();
    let (header, frames) = seal(&bundle, OBJECT);
    assert_eq!(open(&bundle, &header, &frames).unwrap(), FRAMES);
    assert_eq!(
        ObjectHeader::parse(&header).unwrap(),
        ObjectHeader { kind: ObjectKind::Pack, epoch: 0, repository: REPOSITORY, object: OBJECT }
    );
}

#[test]
fn every_flipped_bit_of_header_and_frames_is_refused() {
    let bundle = bundle();
    let (header, frames) = seal(&bundle, OBJECT);
    assert_eq!(header.len(), HEADER_LEN);
    for bit in 0..header.len() * 8 {
        let mut flipped = header.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // The header alone tells: no frame is needed to find it.
        let result = ObjectOpener::new(&bundle, ObjectKind::Pack, OBJECT, &flipped);
        refused(result, &format!("header bit {bit}"));
    }
    for frame in 0..frames.len() {
        for bit in 0..frames[frame].len() * 8 {
            let mut flipped = frames.clone();
            flipped[frame][bit / 8] ^= 1 << (bit % 8);
            refused(open(&bundle, &header, &flipped), &format!("frame {frame} bit {bit}"));
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let bundle = bundle();
    let (header, frames) = seal(&bundle, OBJECT);
    for len in 0..header.len() {
        refused(open(&bundle, &header[..len], &frames), &format!("header of {len} bytes"));
    }
    for len in 0..frames[2].len() {
        let mut cut = frames.clone();
        cut[2].truncate(len);
        refused(open(&bundle, &header, &cut), &format!("last frame of {len} bytes"));
    }
    // A whole frame less: the one before it never claimed to be the last.
    refused(open(&bundle, &header, &frames[..2]), "last frame missing");
    let longer = [frames.clone(), vec![frames[2].clone()]].concat();
    refused(open(&bundle, &header, &longer), "last frame twice");
}

#[test]
fn frames_open_only_in_their_place() {
    let bundle = bundle();
    let (header, frames) = seal(&bundle, OBJECT);
    let opener = ObjectOpener::new(&bundle, ObjectKind::Pack, OBJECT, &header).unwrap();
    assert_eq!(opener.open(0, false, b"extra", &frames[0]).unwrap(), FRAMES[0]);
    refused(opener.open(1, false, b"extra", &frames[0]), "swapped frames");
    refused(opener.open(0, true, b"extra", &frames[0]), "pretended last frame");
    refused(opener.open(2, false, b"extra", &frames[2]), "denied last frame");
    refused(opener.open(0, false, b"extra!", &frames[0]), "other associated data");
    refused(opener.open(0, false, b"", &frames[0]), "no associated data");

    // The same plaintexts, sealed again under the same id: still another object.
    let (_, others) = seal(&bundle, OBJECT);
    refused(opener.open(0, false, b"extra", &others[0]), "frame of another object");
}

#[test]
fn nothing_is_appended_when_a_frame_is_refused() {
    let bundle = bundle();
    let (header, mut frames) = seal(&bundle, OBJECT);
    let opener = ObjectOpener::new(&bundle, ObjectKind::Pack, OBJECT, &header).unwrap();
    let mut out = b"before".to_vec();
    frames[0][3] ^= 1;
    refused(opener.open_into(0, false, b"extra", &frames[0], &mut out), "damaged frame");
    assert_eq!(out, b"before");
    frames[0][3] ^= 1;
    opener.open_into(0, false, b"extra", &frames[0], &mut out).unwrap();
    assert_eq!(out, [b"before", FRAMES[0]].concat());
}

#[test]
fn an_object_opens_only_as_what_it_is() {
    let bundle = bundle();
    let (header, _) = seal(&bundle, OBJECT);
    refused(ObjectOpener::new(&bundle, ObjectKind::Index, OBJECT, &header), "other kind");
    refused(ObjectOpener::new(&bundle, ObjectKind::Pack, [8; 16], &header), "other object");
    let elsewhere = KeyBundle::generate(RepositoryId([8; 16])).unwrap();
    refused(ObjectOpener::new(&elsewhere, ObjectKind::Pack, OBJECT, &header), "other repository");
    // Other keys that claim the same repository: the envelope does not open.
    let impostor = KeyBundle::generate(REPOSITORY).unwrap();
    refused(ObjectOpener::new(&impostor, ObjectKind::Pack, OBJECT, &header), "other keys");
}

#[test]
fn a_sealer_ends_with_its_last_frame() {
    let mut sealer = ObjectSealer::new(&bundle(), ObjectKind::Wal, OBJECT, &[]).unwrap();
    let mut out = Vec::new();
    sealer.seal(true, b"", b"end", &mut out).unwrap();
    let len = out.len();
    assert!(sealer.seal(false, b"", b"more", &mut out).is_err());
    assert_eq!(out.len(), len);
    assert_eq!(sealer.ordinal(), 1);
}

#[test]
fn writers_seal_what_they_cannot_open() {
    let owner = bundle();
    let writer = owner.writer().unwrap();
    let (header, frames) = seal(&writer, OBJECT);
    assert_eq!(open(&owner, &header, &frames).unwrap(), FRAMES);

    let error = ObjectOpener::new(&writer, ObjectKind::Pack, OBJECT, &header).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    assert!(error.remedy().unwrap().contains("owner"), "{error:?}");
    assert!(!writer.can_read() && !writer.is_owner());
    assert_eq!(writer.sign_as_root("d", b"m").unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(writer.writer().unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(writer.clone().add_epoch().unwrap_err().kind(), ErrorKind::WrongKey);
    // It names chunks as its owner does, or nothing would deduplicate.
    assert_eq!(writer.chunk_ids().id(b"chunk"), owner.chunk_ids().id(b"chunk"));
    assert_eq!(writer.gear_seed(), owner.gear_seed());
    assert_ne!(writer.writer_id(), owner.writer_id());
}

#[test]
fn epochs_add_up() {
    let mut bundle = bundle();
    let stale = bundle.clone();
    let (old, old_frames) = seal(&bundle, OBJECT);
    assert_eq!(bundle.add_epoch().unwrap(), 1);
    assert_eq!(bundle.current_epoch(), 1);
    let (new, new_frames) = seal(&bundle, OBJECT);
    assert_eq!(open(&bundle, &old, &old_frames).unwrap(), FRAMES);
    assert_eq!(open(&bundle, &new, &new_frames).unwrap(), FRAMES);

    let error = ObjectOpener::new(&stale, ObjectKind::Pack, OBJECT, &new).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    assert!(error.remedy().unwrap().contains("open it again"), "{error:?}");
}

#[test]
fn a_public_key_is_not_enough_to_forge_a_manifest() {
    let owner = bundle();
    let manifest = b"a snapshot that never was";
    let check = |public: &[u8; 32], certificate: &[u8; 64], signature: &[u8; 64]| {
        verify_writer(&owner.root_public(), REPOSITORY, public, certificate)?;
        verify_signature(public, "manifest", manifest, signature)
    };
    let honest = owner.writer().unwrap();
    let signature = honest.sign_as_writer("manifest", manifest);
    check(&honest.writer_public(), &honest.writer_certificate(), &signature).unwrap();

    // A forger with keys of its own, for this very repository id.
    let forger = KeyBundle::generate(REPOSITORY).unwrap();
    let forged = forger.sign_as_writer("manifest", manifest);
    refused(
        check(&forger.writer_public(), &forger.writer_certificate(), &forged),
        "a writer that the root never admitted",
    );
    refused(
        check(&forger.writer_public(), &honest.writer_certificate(), &forged),
        "somebody else's certificate",
    );
    refused(
        check(&honest.writer_public(), &honest.writer_certificate(), &forged),
        "somebody else's name",
    );
    refused(
        verify_writer(
            &owner.root_public(),
            RepositoryId([8; 16]),
            &honest.writer_public(),
            &honest.writer_certificate(),
        ),
        "a certificate for another repository",
    );
}

#[test]
fn nothing_secret_is_printed() {
    let bundle = bundle();
    let sealer = ObjectSealer::new(&bundle, ObjectKind::Pack, OBJECT, &[]).unwrap();
    let opener = ObjectOpener::new(&bundle, ObjectKind::Pack, OBJECT, sealer.header()).unwrap();
    let printed = format!("{bundle:?} {:?} {sealer:?} {opener:?}", bundle.chunk_ids());
    let gear = bundle.gear_seed();
    let hex: String = gear.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!printed.contains(&hex) && !printed.contains(&format!("{gear:?}")));
    assert_eq!(format!("{:?}", bundle.chunk_ids()), "ChunkIdKey(***)");
    assert_eq!(
        format!("{bundle:?}"),
        format!(
            "KeyBundle {{ repository: {REPOSITORY:?}, role: Owner, epoch: 0, writer: {:?}, .. }}",
            bundle.writer_id()
        )
    );
}
