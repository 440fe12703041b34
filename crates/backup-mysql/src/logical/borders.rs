//! Where a table's segments begin: keys, and the addresses they keep from one snapshot to the
//! next.
//!
//! A segment holds the rows from its border up to the next one's. Borders are chosen once; later
//! snapshots keep them, add more at the end as the table grows, and cut segments that became too
//! long. Addresses leave room between each other, so that a border can be put between two.

use backup_core::{Error, ErrorKind, Result};

use crate::catalog::tables::{KeyColumn, KeyKind};
use crate::{quote_name, quote_text};

/// The text that a segment should have: as with PostgreSQL, small differences stay small.
const SEGMENT_BYTES: u64 = 4 << 20;
/// A segment longer than this is cut where it can be.
pub(crate) const LONGEST_KEPT: u64 = 32 << 20;
/// How many borders the server compares in one statement.
const ASKED_AT_ONCE: usize = 100;
/// Room between the addresses of two borders that are chosen one after the other.
const STRIDE: u64 = 1 << 32;

/// The values of a key, as the server prints them.
pub(crate) type Key = Vec<Vec<u8>>;

/// The beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Border {
    pub(crate) address: u64,
    /// The first key in it; nothing for the first segment, which has all before the second.
    pub(crate) key: Option<Key>,
}

impl Border {
    /// The beginning of the table.
    pub(crate) fn first() -> Self {
        Self { address: 0, key: None }
    }
}

/// Returns how many rows a segment should have.
pub(crate) fn rows_per_segment(row_bytes: u64) -> u64 {
    (SEGMENT_BYTES / row_bytes.max(1)).clamp(1, 1 << 20)
}

/// Returns the address of a border after the last one; nothing when there is no room left.
pub(crate) fn address_after(last: u64) -> Option<u64> {
    last.checked_add(STRIDE)
}

/// Returns addresses for `count` borders between two, evenly; none where there is no room.
pub(crate) fn addresses_between(before: u64, after: u64, count: u64) -> Vec<u64> {
    let room = after.saturating_sub(before);
    if room <= count {
        return Vec::new();
    }
    let step = room / (count + 1);
    (1..=count).map(|position| before + position * step).collect()
}

/// Returns numbers that cut the numbers from `low` to `high` into `pieces` of the same width,
/// without `low` itself.
pub(crate) fn even_cuts(low: i128, high: i128, pieces: u64) -> Vec<i128> {
    let span = high.saturating_sub(low).max(0) + 1;
    let width = (span / i128::from(pieces.max(1))).max(1);
    let cuts = (1..i128::from(pieces)).map(|piece| low + piece * width);
    cuts.take_while(|cut| *cut <= high).collect()
}

/// Returns the condition for the keys from one border (inclusive) up to another (exclusive).
pub(crate) fn condition(
    columns: &[KeyColumn],
    from: Option<&Key>,
    to: Option<&Key>,
) -> Option<String> {
    let from = from.map(|key| bound(columns, key, ">", ">="));
    let to = to.map(|key| bound(columns, key, "<", "<"));
    match (from, to) {
        (Some(from), Some(to)) => Some(format!("{from} AND {to}")),
        (one, other) => one.or(other),
    }
}

/// Returns the condition for the keys beyond one, up to a border (exclusive).
pub(crate) fn beyond(columns: &[KeyColumn], last: &Key, to: Option<&Key>) -> String {
    let last = bound(columns, last, ">", ">");
    match to {
        Some(to) => format!("{last} AND {}", bound(columns, to, "<", "<")),
        None => last,
    }
}

/// `(a, b) >= (x, y)` in words whose ranges every optimizer finds.
fn bound(columns: &[KeyColumn], key: &Key, beyond: &str, at: &str) -> String {
    let Some(((column, value), rest)) = columns.iter().zip(key).next().map(|one| (one, 1)) else {
        return "TRUE".to_owned();
    };
    let name = quote_name(&column.name);
    let value = literal(&column.kind, value);
    let (columns, key) =
        (columns.get(rest..).unwrap_or_default(), key.get(rest..).unwrap_or_default());
    if columns.is_empty() {
        return format!("{name} {at} {value}");
    }
    let inner = bound(columns, &key.to_vec(), beyond, at);
    let wide = if beyond == ">" { ">=" } else { "<=" };
    format!("({name} {wide} {value} AND ({name} {beyond} {value} OR ({inner})))")
}

/// Returns a value as SQL writes it, so that it compares as the column's own values do.
fn literal(kind: &KeyKind, value: &[u8]) -> String {
    match kind {
        KeyKind::Number => String::from_utf8_lossy(value).into_owned(),
        KeyKind::Quoted => quote_text(&String::from_utf8_lossy(value)),
        KeyKind::Text(charset) => format!("_{charset} x'{}'", hex(value)),
    }
}

/// Returns statements that ask the server whether each border lies beyond the one before it, as
/// it compares values of these columns itself: every value that one of them returns must be true.
/// Borders that do not rise would give a row to two segments.
pub(crate) fn rising(columns: &[KeyColumn], borders: &[Border]) -> Vec<String> {
    let keys: Vec<&Key> = borders.iter().filter_map(|border| border.key.as_ref()).collect();
    let pairs: Vec<String> =
        keys.iter().zip(keys.iter().skip(1)).map(|(one, next)| less(columns, one, next)).collect();
    pairs.chunks(ASKED_AT_ONCE).map(|some| format!("SELECT {}", some.join(", "))).collect()
}

fn less(columns: &[KeyColumn], one: &[Vec<u8>], next: &[Vec<u8>]) -> String {
    let (Some((column, columns)), Some((a, one)), Some((b, next))) =
        (columns.split_first(), one.split_first(), next.split_first())
    else {
        return "FALSE".to_owned();
    };
    let (a, b) = (typed(column, a), typed(column, b));
    if columns.is_empty() {
        return format!("{a} < {b}");
    }
    format!("({a} < {b} OR ({a} = {b} AND {}))", less(columns, one, next))
}

/// Returns a value that compares as the column's do without the column.
fn typed(column: &KeyColumn, value: &[u8]) -> String {
    let literal = literal(&column.kind, value);
    match (&column.kind, &column.collation) {
        (KeyKind::Text(_), Some(collation)) => format!("{literal} COLLATE {collation}"),
        (KeyKind::Quoted, _) => {
            let kind = column.full_type.split('(').next().unwrap_or_default();
            let kind = match kind {
                "datetime" | "timestamp" => "datetime(6)",
                "time" => "time(6)",
                other => other,
            };
            format!("CAST({literal} AS {kind})")
        }
        _ => literal,
    }
}

/// Writes borders for storage: the address and each value of the key in hexadecimal digits,
/// separated by tabs, a line each. The first border is not written.
pub(crate) fn write(borders: &[Border]) -> Vec<u8> {
    let mut out = Vec::new();
    for border in borders {
        let Some(key) = &border.key else { continue };
        out.extend_from_slice(border.address.to_string().as_bytes());
        for value in key {
            out.push(b'\t');
            out.extend_from_slice(hex(value).as_bytes());
        }
        out.push(b'\n');
    }
    out
}

/// Reads what [`write`] wrote; `Integrity` where it is something else.
pub(crate) fn read(text: &[u8], columns: usize) -> Result<Vec<Border>> {
    let damaged = || Error::new(ErrorKind::Integrity, "read borders of segments");
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let mut borders = vec![Border::first()];
    for line in text.lines() {
        let mut fields = line.split('\t');
        let address = fields.next().and_then(|field| field.parse().ok()).ok_or_else(damaged)?;
        let key: Option<Key> = fields.map(unhex).collect();
        let key = key.filter(|key| key.len() == columns).ok_or_else(damaged)?;
        if borders.last().is_none_or(|last: &Border| last.address >= address) {
            return Err(damaged());
        }
        borders.push(Border { address, key: Some(key) });
    }
    Ok(borders)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str) -> KeyColumn {
        let full_type = "int(11)".into();
        KeyColumn { name: name.into(), kind: KeyKind::Number, full_type, collation: None }
    }

    fn text(name: &str) -> KeyColumn {
        KeyColumn {
            name: name.into(),
            kind: KeyKind::Text("latin1".into()),
            full_type: "varchar(30)".into(),
            collation: Some("latin1_german1_ci".into()),
        }
    }

    #[test]
    fn conditions_name_keys_of_one_column_and_of_several() {
        let key =
            |values: &[&str]| -> Key { values.iter().map(|v| v.as_bytes().to_vec()).collect() };
        let one = [number("id")];
        assert_eq!(condition(&one, None, None), None);
        assert_eq!(
            condition(&one, Some(&key(&["10"])), Some(&key(&["20"]))).unwrap(),
            "`id` >= 10 AND `id` < 20"
        );
        let two = [text("c"), number("n")];
        assert_eq!(
            condition(&two, Some(&key(&["é", "7"])), None).unwrap(),
            "(`c` >= _latin1 x'C3A9' AND (`c` > _latin1 x'C3A9' OR (`n` >= 7)))"
        );
        assert_eq!(
            condition(&two, None, Some(&key(&["", "7"]))).unwrap(),
            "(`c` <= _latin1 x'' AND (`c` < _latin1 x'' OR (`n` < 7)))"
        );
        assert_eq!(beyond(&one, &key(&["10"]), Some(&key(&["20"]))), "`id` > 10 AND `id` < 20");
        assert_eq!(
            beyond(&two, &key(&["a", "7"]), None),
            "(`c` >= _latin1 x'61' AND (`c` > _latin1 x'61' OR (`n` > 7)))"
        );
    }

    #[test]
    fn the_server_compares_borders_as_its_columns_do() {
        let border = |address, key: &[&str]| Border {
            address,
            key: Some(key.iter().map(|value| value.as_bytes().to_vec()).collect()),
        };
        let day = KeyColumn {
            name: "d".into(),
            kind: KeyKind::Quoted,
            full_type: "timestamp(3)".into(),
            collation: None,
        };
        let borders = [Border::first(), border(1, &["a", "2"]), border(2, &["b", "1"])];
        assert_eq!(
            rising(&[text("c"), number("n")], &borders),
            ["SELECT (_latin1 x'61' COLLATE latin1_german1_ci < _latin1 x'62' COLLATE \
              latin1_german1_ci OR (_latin1 x'61' COLLATE latin1_german1_ci = _latin1 x'62' \
              COLLATE latin1_german1_ci AND 2 < 1))"]
        );
        let borders = [Border::first(), border(1, &["x"]), border(2, &["y"])];
        assert_eq!(
            rising(&[day], &borders),
            ["SELECT CAST('x' AS datetime(6)) < CAST('y' AS datetime(6))"]
        );
        assert!(rising(&[number("n")], &[Border::first(), border(1, &["5"])]).is_empty());
    }

    #[test]
    fn even_cuts_cover_the_numbers_and_are_not_more_than_asked_for() {
        assert_eq!(even_cuts(1, 100, 4), [26, 51, 76]);
        assert_eq!(even_cuts(0, 1, 8), [1]);
        assert_eq!(even_cuts(5, 5, 3), Vec::<i128>::new());
        let wide = even_cuts(i128::from(i64::MIN), i128::from(u64::MAX), 1000);
        assert_eq!(wide.len(), 999);
    }

    #[test]
    fn borders_are_put_between_others_while_there_is_room() {
        assert_eq!(addresses_between(0, 100, 3), [25, 50, 75]);
        assert!(addresses_between(7, 8, 1).is_empty());
        assert!(address_after(u64::MAX).is_none());
    }

    #[test]
    fn borders_are_read_back_and_damage_is_noticed() {
        let border = |address, key: &[&[u8]]| Border {
            address,
            key: Some(key.iter().map(|value| value.to_vec()).collect()),
        };
        let borders = [Border::first(), border(5, &[b"", b"\x00\xff"]), border(9, &[b"a", b"b"])];
        let text = write(&borders);
        assert_eq!(read(&text, 2).unwrap(), borders);
        for (text, columns) in
            [(&text[..], 3), (&b"9\tzz\n"[..], 1), (b"9\t61\n9\t62\n", 1), (b"x\t61\n", 1)]
        {
            assert_eq!(read(text, columns).unwrap_err().kind(), ErrorKind::Integrity);
        }
    }
}
