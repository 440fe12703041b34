//! Arbitrary bytes as a segment of a list of files: no panic, no allocation out of proportion, and
//! what is accepted reads the same once it is written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| assert!(backup_files::list::holds(data)));
