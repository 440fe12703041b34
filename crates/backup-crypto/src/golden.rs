//! Format 1, byte for byte: what fixed randomness seals is compared with committed files, and
//! those files are opened. A change that fails here needs a new format version, not new files.

use backup_core::{ErrorKind, KeyId, RepositoryId, Secret};
use jiff::Timestamp;

use crate::bundle::KeyBundle;
use crate::entropy::Entropy;
use crate::passphrase::Argon2Params;
use crate::record::{KeyKind, KeyRecord};
use crate::record_seal::SealedTo;
use crate::secret::KeySecret;
use crate::{
    HEADER_LEN, ObjectKind, ObjectOpener, ObjectSealer, TAG_LEN, bundle_codec, key_file,
    verify_signature, verify_writer,
};

const REPOSITORY: RepositoryId = RepositoryId([0x11; 16]);
const OBJECT: [u8; 16] = [0x22; 16];
const PASSPHRASE: &str = "correct horse battery staple";
const FRAMES: [(&[u8], &[u8]); 3] =
    [(b"", b"the first frame"), (b"extra", b""), (b"footer", &[0xa5; 1000])];

const BUNDLE: &[u8] = include_bytes!("../tests/golden/v1/bundle.bin");
const KEY_FILE: &str = include_str!("../tests/golden/v1/key-file.txt");
const KEY_FILE_RECORD: &[u8] = include_bytes!("../tests/golden/v1/key-file.json");
const PASSPHRASE_RECORD: &[u8] = include_bytes!("../tests/golden/v1/passphrase.json");
const WRITER_RECORD: &[u8] = include_bytes!("../tests/golden/v1/writer.json");
const PACK: &[u8] = include_bytes!("../tests/golden/v1/pack.bin");
const SIGNATURE: &[u8] = include_bytes!("../tests/golden/v1/signature.bin");

fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed(&[seed; 32], b"golden", &[])
}

/// An owner at its second epoch.
fn bundle() -> KeyBundle {
    let mut bundle = KeyBundle::with_entropy(REPOSITORY, &mut entropy(1)).unwrap();
    bundle.add_epoch_with(&mut entropy(2)).unwrap();
    bundle
}

fn key_file_secret() -> KeySecret {
    KeySecret::KeyFile(Secret::new(KEY_FILE))
}

fn record(granted: &KeyBundle, secret: &KeySecret, seed: u8) -> KeyRecord {
    let mut entropy = entropy(seed);
    let argon2 =
        (secret.kind() == KeyKind::Passphrase).then(|| Argon2Params::current(&mut entropy));
    let pair = secret.key_pair(argon2.as_ref()).unwrap();
    let to = SealedTo { kind: secret.kind(), argon2, recipient: pair.public, pair: Some(pair) };
    let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let id = KeyId([seed; 16]);
    let label = "golden \"Schlüssel\"";
    KeyRecord::with_entropy(&bundle(), granted, id, to, label, now, &mut entropy).unwrap()
}

fn pack(seed: u8) -> Vec<u8> {
    let mut sealer =
        ObjectSealer::with_entropy(&bundle(), ObjectKind::Pack, OBJECT, &mut entropy(seed))
            .unwrap();
    let mut out = sealer.header().to_vec();
    for (ordinal, (extra, plaintext)) in FRAMES.iter().enumerate() {
        sealer.seal(ordinal + 1 == FRAMES.len(), extra, plaintext, &mut out).unwrap();
    }
    out
}

#[test]
fn fixed_randomness_writes_the_committed_bytes() {
    let owner = bundle();
    let writer = owner.writer_with_nonce([0x55; 16]).unwrap();
    let passphrase = KeySecret::Passphrase(Secret::new(PASSPHRASE));
    assert_eq!(key_file::format(&[0x33; 32]).expose(), KEY_FILE.trim_end());
    assert_eq!(bundle_codec::encode(&owner).as_slice(), BUNDLE);
    assert_eq!(record(&owner, &key_file_secret(), 3).to_bytes().unwrap(), KEY_FILE_RECORD);
    assert_eq!(record(&owner, &passphrase, 4).to_bytes().unwrap(), PASSPHRASE_RECORD);
    assert_eq!(record(&writer, &key_file_secret(), 5).to_bytes().unwrap(), WRITER_RECORD);
    assert_eq!(pack(6), PACK);
    assert_eq!(owner.sign_as_writer("manifest", b"message"), SIGNATURE);
}

#[test]
fn committed_bytes_open() {
    let passphrase = KeySecret::Passphrase(Secret::new(PASSPHRASE));
    let open = |bytes: &[u8], secret: &KeySecret| {
        KeyRecord::from_bytes(bytes).unwrap().open(secret).unwrap()
    };
    let owner = open(PASSPHRASE_RECORD, &passphrase);
    for bundle in [open(KEY_FILE_RECORD, &key_file_secret()), owner.clone()] {
        assert_eq!(bundle_codec::encode(&bundle).as_slice(), BUNDLE);
    }
    let opener = ObjectOpener::new(&owner, ObjectKind::Pack, OBJECT, PACK).unwrap();
    let mut rest = &PACK[HEADER_LEN..];
    for (ordinal, (extra, plaintext)) in FRAMES.iter().enumerate() {
        let (frame, tail) = rest.split_at(plaintext.len() + TAG_LEN);
        let last = ordinal + 1 == FRAMES.len();
        assert_eq!(opener.open(ordinal as u64, last, extra, frame).unwrap(), *plaintext);
        rest = tail;
    }
    assert!(rest.is_empty());
    let signature = SIGNATURE.try_into().unwrap();
    verify_signature(&owner.writer_public(), "manifest", b"message", signature).unwrap();

    let writer = open(WRITER_RECORD, &key_file_secret());
    let error = ObjectOpener::new(&writer, ObjectKind::Pack, OBJECT, PACK).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    verify_writer(
        &owner.root_public(),
        REPOSITORY,
        &writer.writer_public(),
        &writer.writer_certificate(),
    )
    .unwrap();
    assert_eq!(
        owner.chunk_ids().id(b"a chunk").to_string(),
        include_str!("../tests/golden/v1/chunk-id.txt").trim_end()
    );
    assert_eq!(
        owner.writer_id().to_string(),
        include_str!("../tests/golden/v1/writer-id.txt").trim_end()
    );
}
