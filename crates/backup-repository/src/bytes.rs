//! Reading and writing the fixed-width big-endian fields of binary objects.

use backup_core::{Error, ErrorKind, Result};

/// Reads fields from the front of a byte string; every read is bounds-checked.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// Starts at the front; `what` names the object in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.damaged())?;
        self.rest = tail;
        Ok(*head)
    }

    /// Reads so many bytes as they are.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged())?;
        self.rest = tail;
        Ok(head)
    }

    /// Reads a count of items that each take at least `least` bytes of what is left, so that a
    /// hostile count cannot make anyone allocate more than the object's own size.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count.saturating_mul(least) > self.rest.len() {
            return Err(self.damaged());
        }
        Ok(count)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged()) }
    }

    /// Checks that only zero padding is left.
    pub(crate) fn padding(self) -> Result<()> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(self.damaged()) }
    }

    /// Returns what is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn damaged(&self) -> Error {
        Error::new(ErrorKind::Integrity, format!("read {}", self.what))
            .with("bytes left", self.rest.len())
    }
}

/// Returns `length` rounded up so that at most its five leading bits tell sizes apart (Padmé,
/// Nikitin and others 2019): at most 12 % more, and under 3 % above a mebibyte.
pub(crate) fn padme(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1u64 << exponent.saturating_sub(significant)) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_is_monotone_bounded_and_stable() {
        let mut last = 0;
        for length in (0..100_000u64).chain([1 << 25, (1 << 25) + 1, (1 << 32) + 12345]) {
            let padded = padme(length);
            assert!(padded >= length && padded >= last, "{length}");
            assert!(padded <= length + length / 8 + 1, "{length} -> {padded}");
            assert_eq!(padme(padded), padded);
            last = padded;
        }
    }

    #[test]
    fn hostile_counts_are_refused() {
        let mut fields = Fields::new(&[0xff, 0xff, 0xff, 0xff, 0, 0], "test");
        assert!(fields.count(1).is_err());
        assert!(Fields::new(&[1, 2], "test").u32().is_err());
    }
}
