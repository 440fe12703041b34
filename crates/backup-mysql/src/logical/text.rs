//! Rows as text: the default format of `LOAD DATA`.
//!
//! Values are separated by tabs, rows end with a newline, NULL is `\N`. In a value a backslash, a
//! tab, a newline and a zero byte are written `\\`, `\t`, `\n` and `\0`; every other byte stands
//! for itself, in the character set of its column. A newline therefore always ends a row.

/// Appends one row.
pub(crate) fn push_row(out: &mut Vec<u8>, row: &[Option<Vec<u8>>]) {
    for (position, value) in row.iter().enumerate() {
        if position > 0 {
            out.push(b'\t');
        }
        match value {
            Some(bytes) => push_value(out, bytes),
            None => out.extend_from_slice(b"\\N"),
        }
    }
    out.push(b'\n');
}

fn push_value(out: &mut Vec<u8>, bytes: &[u8]) {
    // Each of the two is looked for again only behind where it was found: a value of zeros and no
    // tabs is searched to its end once, not once for each zero.
    let after = |from: usize| bytes.get(from..).unwrap_or_default();
    let special = |from: usize| {
        memchr::memchr3(b'\\', b'\t', b'\n', after(from)).map_or(bytes.len(), |at| from + at)
    };
    let zero = |from: usize| memchr::memchr(0, after(from)).map_or(bytes.len(), |at| from + at);
    let (mut from, mut next_special, mut next_zero) = (0, special(0), zero(0));
    loop {
        let at = next_special.min(next_zero);
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        let Some(byte) = bytes.get(at) else { return };
        out.push(b'\\');
        out.push(match byte {
            b'\t' => b't',
            b'\n' => b'n',
            0 => b'0',
            other => *other,
        });
        from = at + 1;
        if *byte == 0 {
            next_zero = zero(from);
        } else {
            next_special = special(from);
        }
    }
}

/// Reads one row, without its newline; nothing where it is not in the format.
pub(crate) fn parse_row(line: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    line.split(|byte| *byte == b'\t').map(parse_value).collect()
}

fn parse_value(text: &[u8]) -> Option<Option<Vec<u8>>> {
    if text == b"\\N" {
        return Some(None);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        out.push(match bytes.next()? {
            b't' => b'\t',
            b'n' => b'\n',
            b'0' => 0,
            b'\\' => b'\\',
            _ => return None,
        });
    }
    Some(Some(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_what_load_data_reads() {
        let mut out = Vec::new();
        let row = [
            Some(b"a\tb\nc\\d\0e".to_vec()),
            None,
            Some(Vec::new()),
            Some(b"\\N".to_vec()),
            Some("naïve 🦀".as_bytes().to_vec()),
        ];
        push_row(&mut out, &row);
        let wanted = "a\\tb\\nc\\\\d\\0e\t\\N\t\t\\\\N\tnaïve 🦀\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert_eq!(parse_row(b"\\x"), None);
    }

    #[test]
    fn a_long_value_of_zeros_is_written_in_one_pass() {
        let value = [0xFF, 0].repeat(4 << 20);
        let mut out = Vec::new();
        push_row(&mut out, &[Some(value)]);
        assert_eq!(out.len(), 3 * (4 << 20) + 1);
        assert!(out.starts_with(b"\xFF\\0\xFF\\0"));
    }

    proptest! {
        #[test]
        fn rows_are_read_back_and_hold_one_newline(
            row in prop::collection::vec(
                prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 1..6
            )
        ) {
            let mut out = Vec::new();
            push_row(&mut out, &row);
            prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(parse_row(&out[..out.len() - 1]), Some(row));
        }
    }
}
