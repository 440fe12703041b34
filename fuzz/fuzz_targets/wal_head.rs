//! Arbitrary bytes as the head of a WAL object: no panic, no allocation out of proportion, and the promise holds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| assert!(backup_repository::fuzzing::wal_head(data)));
