//! A database URL: no panic, and no password in what is shown.
#![no_main]

use backup_postgres::ConnectOptions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(options) = ConnectOptions::parse(text) {
        let _ = (options.location(), format!("{options:?}"), options.database().len());
    }
});
