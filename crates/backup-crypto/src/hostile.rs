//! Tests of attacks that need more than the public API to mount.

use aes_gcm::Aes256Gcm;
use backup_core::{ErrorKind, KeyId, RepositoryId};
use serde_json::json;
use zeroize::ZeroizeOnDrop;

use crate::entropy::Entropy;
use crate::record::{KeyKind, KeyRecord};
use crate::record_seal::SealedTo;
use crate::secret::KeySecret;
use crate::{
    HEADER_LEN, KeyBundle, ObjectKind, ObjectOpener, ObjectSealer, bundle_codec, generate_key_file,
};

const REPOSITORY: RepositoryId = RepositoryId([7; 16]);
const ID: KeyId = KeyId([5; 16]);

fn bundle() -> KeyBundle {
    KeyBundle::generate(REPOSITORY).unwrap()
}

fn secret() -> KeySecret {
    KeySecret::KeyFile(generate_key_file().unwrap())
}

fn record(bundle: &KeyBundle, secret: &KeySecret) -> KeyRecord {
    KeyRecord::seal(bundle, ID, secret, "", jiff::Timestamp::UNIX_EPOCH).unwrap()
}

/// A store that seals its own keys to the victim's public key, which it can read, would be able
/// to read everything written from then on.
#[test]
fn a_store_cannot_put_its_own_keys_in_place() {
    let (secret, impostor) = (secret(), bundle());
    let genuine = record(&bundle(), &secret);
    let root_seed = impostor.root_seed("test").unwrap();
    let forge = |binding| {
        let mut forged = genuine.clone();
        forged.root = impostor.root_public();
        forged.writer = impostor.writer_public();
        forged.writer_nonce = impostor.writer_nonce;
        forged.epoch_public = impostor.newest().public;
        forged.binding = binding;
        forged.fill(&impostor, root_seed, &mut Entropy::fresh(&[]).unwrap()).unwrap();
        forged.verify(&impostor.root_public()).unwrap();
        forged.open(&secret).unwrap_err().kind()
    };
    assert_eq!(forge(genuine.binding), ErrorKind::Integrity);
    assert_eq!(forge(Some([0; 32])), ErrorKind::Integrity);
    assert_eq!(forge(None), ErrorKind::Unsupported);
}

/// The record's envelope binds repository and id, its statement binds what is inside.
#[test]
fn sealed_keys_fit_one_record() {
    let (owner, secret) = (bundle(), secret());
    let root_seed = owner.root_seed("test").unwrap();
    let mut entropy = Entropy::fresh(&[]).unwrap();

    // Signed by the root itself, with a bundle that is not what the record states.
    let mut record = record(&owner, &secret);
    record.fill(&owner.writer().unwrap(), root_seed, &mut entropy).unwrap();
    assert_eq!(record.open(&secret).unwrap_err().kind(), ErrorKind::Integrity);
    record.fill(&owner, root_seed, &mut entropy).unwrap();
    assert!(record.open(&secret).is_ok());
}

#[test]
fn fields_of_later_versions_are_kept_and_signed() {
    let (mut owner, secret) = (bundle(), secret());
    let mut record = record(&owner, &secret);
    record.extra.insert("note".to_owned(), json!({"b": [1, null], "a": "é\n\u{7f}"}));
    let root_seed = *owner.root_seed("test").unwrap();
    record.fill(&owner, &root_seed, &mut Entropy::fresh(&[]).unwrap()).unwrap();

    let read = KeyRecord::from_bytes(&record.to_bytes().unwrap()).unwrap();
    assert!(read.open(&secret).is_ok());
    owner.add_epoch().unwrap();
    let resealed = read.reseal(&owner).unwrap();
    assert_eq!(resealed.extra, record.extra);
    resealed.verify(&owner.root_public()).unwrap();
    let mut edited = resealed;
    edited.extra.insert("note".to_owned(), json!(1));
    assert_eq!(edited.open(&secret).unwrap_err().kind(), ErrorKind::Integrity);
}

/// A record of kind passphrase with hostile parameters, correctly signed by a hostile root.
#[test]
fn a_hostile_record_does_not_exhaust_memory() {
    let owner = bundle();
    let mut argon2 = crate::passphrase::Argon2Params::current(&mut Entropy::fresh(&[]).unwrap());
    argon2.memory_kib = 100 << 20;
    let to = SealedTo {
        kind: KeyKind::Passphrase,
        argon2: Some(argon2),
        recipient: secret().recipient().unwrap(),
        pair: None,
    };
    let mut entropy = Entropy::fresh(&[]).unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let record = KeyRecord::with_entropy(&owner, &owner, ID, to, "", now, &mut entropy).unwrap();
    let passphrase = KeySecret::Passphrase(backup_core::Secret::new("two words"));
    let error = record.open(&passphrase).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert_eq!(error.operation(), "derive key from passphrase");
}

/// The same random numbers twice, as after restoring a virtual machine.
#[test]
fn repeated_randomness_with_other_content_gives_other_keys() {
    let bundle = bundle();
    let seal = |hedge: &[u8]| {
        let mut entropy = Entropy::from_seed(&[1; 32], b"same time, same process", &[hedge]);
        let mut sealer =
            ObjectSealer::with_entropy(&bundle, ObjectKind::Pack, [1; 16], &mut entropy).unwrap();
        let mut frame = Vec::new();
        sealer.seal(true, b"", &[0; 64], &mut frame).unwrap();
        (*sealer.header(), frame)
    };
    let (one, one_frame) = seal(b"content");
    let (other, other_frame) = seal(b"other content");
    assert_eq!(one[..48], other[..48]);
    for field in [48..80, 80..128, 128..160, 160..192] {
        assert_ne!(one[field.clone()], other[field], "every random field differs");
    }
    // Equal plaintexts under one key and nonce would be equal ciphertexts.
    assert_ne!(one_frame[..64], other_frame[..64]);
    assert_eq!((one, one_frame), seal(b"content"));
}

/// Another key under the same header is found by the commitment, before any decryption.
#[test]
fn the_commitment_is_checked_when_the_header_opens() {
    let bundle = bundle();
    let sealer = ObjectSealer::new(&bundle, ObjectKind::Pack, [1; 16], &[]).unwrap();
    for byte in 160..HEADER_LEN {
        let mut header = *sealer.header();
        header[byte] ^= 0x80;
        let error = ObjectOpener::new(&bundle, ObjectKind::Pack, [1; 16], &header).unwrap_err();
        let reason = ("reason", "the key commitment does not match".to_owned());
        assert!(error.context().contains(&reason), "{error:?}");
    }
}

#[test]
fn cut_or_altered_bundles_are_refused() {
    for bundle in [bundle(), bundle().writer().unwrap()] {
        let bytes = bundle_codec::encode(&bundle);
        assert!(bundle_codec::decode(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert!(bundle_codec::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(bundle_codec::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        let mut newer = bytes.to_vec();
        newer[4] = 2;
        let error = bundle_codec::decode(&newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn ciphers_wipe_their_keys() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Aes256Gcm>();
    wiped::<x25519_dalek::StaticSecret>();
    wiped::<ed25519_dalek::SigningKey>();
}
