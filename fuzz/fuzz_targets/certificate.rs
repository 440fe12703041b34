//! A server certificate, for channel binding.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = backup_postgres::wire::certificate::end_point(data);
});
