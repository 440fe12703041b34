//! The archive that pg_dump writes: header and table of contents.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = backup_postgres::logical::is_archive(data);
    let with_header = [&b"PGDMP\x01\x0e\x00\x04\x08\x01"[..], data].concat();
    let _ = backup_postgres::logical::is_archive(&with_header);
});
