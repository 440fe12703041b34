//! The text of a key file: 32 random bytes that a person can copy by hand.
//!
//! `BKEY1-` and fourteen groups of five characters, joined by `-`. The alphabet is Crockford's
//! base32 (`0-9 A-Z` without `I L O U`; `O` reads as `0`, `I` and `L` as `1`, any case). Groups 1
//! to 13 hold four characters of data and one check character each: 52 characters, the 256 bits
//! of the key, most significant first, and four zero bits. The check character is
//! `g·d₁ + g²·d₂ + g³·d₃ + g⁴·d₄ + n` over GF(2⁵) (modulus x⁵+x²+1, g = 2, n = group number from
//! 0): any wrong character, any two swapped neighbours, and any group in the wrong place are
//! found and named. Group 14 is the first 25 bits of SHA-256(`backup.v1.key-file` ‖ key).
//!
//! Lines that start with `#`, white space and missing dashes do not matter. In a text that begins
//! with something else, such as a recovery sheet, the key is the paragraph that begins with BKEY1.

use backup_core::{Error, ErrorKind, Result, Secret};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

const PREFIX: &str = "BKEY1";
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DATA_GROUPS: usize = 13;
const GROUP: usize = 5;
const DIGITS: usize = (DATA_GROUPS + 1) * GROUP;

/// Makes a new key and returns its text: the content of a key file, or a recovery key to print.
pub fn generate_key_file() -> Result<Secret> {
    Ok(format(&Entropy::fresh(&[b"key file"])?.secret()))
}

/// Writes a key as text.
pub(crate) fn format(key: &[u8; 32]) -> Secret {
    let mut digits = Zeroizing::new([0; DIGITS]);
    for (group, out) in digits.chunks_exact_mut(GROUP).take(DATA_GROUPS).enumerate() {
        for (place, digit) in out.iter_mut().take(GROUP - 1).enumerate() {
            *digit = bits(key, (group * (GROUP - 1) + place) * 5);
        }
        out[GROUP - 1] = group_check(group, out);
    }
    digits[DATA_GROUPS * GROUP..].copy_from_slice(&key_check(key));
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + (DATA_GROUPS + 1) * 6));
    text.push_str(PREFIX);
    for group in digits.chunks_exact(GROUP) {
        text.push('-');
        text.extend(group.iter().map(|digit| char::from(ALPHABET[usize::from(*digit)])));
    }
    Secret::new(text.as_str())
}

/// Reads a key from its text. `ConfigInvalid` when it is not one; the context names the group
/// with the typo, never its characters.
pub(crate) fn parse(text: &str) -> Result<Zeroizing<[u8; 32]>> {
    let digits = digits(text)?;
    let mut key = Zeroizing::new([0; 32]);
    for (group, characters) in digits.chunks_exact(GROUP).take(DATA_GROUPS).enumerate() {
        if group_check(group, characters) != characters[GROUP - 1] {
            return Err(invalid("a group has a typo, or is in the wrong place")
                .with("group", group + 1)
                .hint("Compare that group with the original, character by character."));
        }
        for (place, digit) in characters.iter().take(GROUP - 1).enumerate() {
            set_bits(&mut key, (group * (GROUP - 1) + place) * 5, *digit);
        }
    }
    let spare = digits[DATA_GROUPS * GROUP - 2] & 0b1111;
    if spare != 0 || digits[DATA_GROUPS * GROUP..] != key_check(&key) {
        return Err(invalid("the groups do not belong together")
            .hint("Compare the whole key with the original; the last group is a checksum of it."));
    }
    Ok(key)
}

/// Strips comments, prefix and separators; returns the value of every digit.
fn digits(text: &str) -> Result<Zeroizing<[u8; DIGITS]>> {
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(
        paragraph(text)
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace() && *c != '-' && *c != '\u{feff}')
            .map(|c| c.to_ascii_uppercase()),
    );
    let Some(body) = compact.strip_prefix(PREFIX) else {
        return Err(invalid("it does not start with BKEY1").hint(
            "Give the file that holds the key, or the recovery key from the recovery sheet.",
        ));
    };
    let mut out = Zeroizing::new([0; DIGITS]);
    let mut count = 0;
    for character in body.chars() {
        let value = value(character).ok_or_else(|| {
            invalid("a group has a character that keys do not use")
                .with("group", count / GROUP + 1)
                .hint("Compare that group with the original, character by character.")
        })?;
        if let Some(slot) = out.get_mut(count) {
            *slot = value;
        }
        count += 1;
    }
    if count != DIGITS {
        return Err(invalid("it has the wrong number of characters")
            .with("expected", DIGITS)
            .with("found", count)
            .hint("Copy the whole key: BKEY1 and fourteen groups of five characters."));
    }
    Ok(out)
}

/// Returns the paragraph with the key when other text comes before it, else the whole text.
fn paragraph(text: &str) -> &str {
    let marked = |line: &str| {
        let line = line.trim_start().as_bytes();
        line.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
    };
    let own = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if text.trim_start_matches('\u{feff}').lines().find(own).is_none_or(marked) {
        return text;
    }
    let mut from = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match from {
            None if marked(line) => from = Some(at),
            Some(from) if line.trim().is_empty() => return text.get(from..at).unwrap_or_default(),
            _ => {}
        }
        at += line.len();
    }
    from.and_then(|from| text.get(from..)).unwrap_or(text)
}

fn value(character: char) -> Option<u8> {
    let normal = match character {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let position = ALPHABET.iter().position(|&known| char::from(known) == normal)?;
    u8::try_from(position).ok()
}

fn group_check(group: usize, digits: &[u8]) -> u8 {
    let mut weight = 1;
    let start = (group % 32) as u8;
    digits.iter().take(GROUP - 1).fold(start, |sum, digit| {
        weight = multiply(weight, 2);
        sum ^ multiply(weight, *digit)
    })
}

/// Multiplies in GF(2⁵) with modulus x⁵+x²+1.
fn multiply(one: u8, other: u8) -> u8 {
    let mut product = 0;
    for bit in (0..5).rev() {
        product <<= 1;
        if product & 0b10_0000 != 0 {
            product ^= 0b10_0101;
        }
        if other >> bit & 1 == 1 {
            product ^= one;
        }
    }
    product
}

fn key_check(key: &[u8; 32]) -> [u8; GROUP] {
    let digest: [u8; 32] =
        Sha256::new().chain_update("backup.v1.key-file").chain_update(key).finalize().into();
    std::array::from_fn(|place| bits(&digest, place * 5))
}

/// Reads five bits, most significant first; zero past the end.
fn bits(bytes: &[u8; 32], offset: usize) -> u8 {
    (offset..offset + 5).fold(0, |value, bit| {
        let byte = bytes.get(bit / 8).copied().unwrap_or(0);
        value << 1 | (byte >> (7 - bit % 8) & 1)
    })
}

fn set_bits(bytes: &mut [u8; 32], offset: usize, value: u8) {
    for (place, bit) in (offset..offset + 5).enumerate() {
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte |= (value >> (4 - place) & 1) << (7 - bit % 8);
        }
    }
}

fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "read key file").with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_the_sheet_that_holds_it() {
        let key = [7; 32];
        let text = format(&key).expose().to_lowercase();
        let (left, right) = text.split_at(40);
        for sheet in [
            format!("Sheet\r\n\r\n   {text}\r\n\r\nTo recover:\r\n"),
            format!("RECOVERY\n====\nKey:\n\n    {left}\n    {right}\n\nmore BKEY1 text\n"),
            format!("# mine\n\n{left}\n\n{right}\n"),
            format!("notes\n{text}"),
        ] {
            assert_eq!(*parse(&sheet).unwrap(), key, "{sheet}");
        }
        let absent = parse("RECOVERY\n\nno key here\n").unwrap_err();
        assert!(absent.to_string().contains("BKEY1"), "{absent}");
        assert!(parse(&format!("notes\n{text} and then some words\n")).is_err());
    }
}
