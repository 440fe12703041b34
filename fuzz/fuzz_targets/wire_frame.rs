//! The byte stream of a server: COPY data comes out the same however it arrives in pieces.
#![no_main]

use backup_postgres::wire::frame::{peek, scan_copy_data};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = peek(data, 64 << 10);
    let mut whole = Vec::new();
    let Ok(scan) = scan_copy_data(data, 0, &mut whole) else { return };
    assert!(scan.consumed <= data.len());
    let cut = usize::from(data.first().copied().unwrap_or(0)).min(data.len());
    let (front, _) = data.split_at(cut);
    let mut pieces = Vec::new();
    let Ok(first) = scan_copy_data(front, 0, &mut pieces) else { return };
    if !first.other {
        let rest = &data[first.consumed..];
        let again = scan_copy_data(rest, first.pending, &mut pieces);
        assert!(again.is_ok_and(|again| first.consumed + again.consumed == scan.consumed));
        assert_eq!(pieces, whole);
    }
});
