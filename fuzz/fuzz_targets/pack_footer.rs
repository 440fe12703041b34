//! Arbitrary bytes as a pack's footer and trailer: no panic, no allocation out of proportion, and the promise holds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| assert!(backup_repository::fuzzing::pack_footer(data)));
