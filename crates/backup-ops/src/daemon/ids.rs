//! Ids of runs: later ones are greater.

use backup_core::RunId;
use jiff::Timestamp;

/// Makes ids out of time, a counter, and what chance gave this process once.
#[derive(Clone, Debug)]
pub struct RunIds {
    chance: [u8; 8],
    last: u64,
    count: u16,
}

impl RunIds {
    /// Takes eight random bytes, so that two programs make different ids.
    #[must_use]
    pub fn new(chance: [u8; 8]) -> Self {
        Self { chance, last: 0, count: 0 }
    }

    /// Returns an id greater than every one before, also when the clock goes back.
    pub fn next(&mut self, now: Timestamp) -> RunId {
        let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
        match self.count.checked_add(1) {
            Some(count) if now <= self.last => self.count = count,
            _ => (self.last, self.count) = (now.max(self.last + 1), 0),
        }
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.last.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&self.count.to_be_bytes());
        bytes[8..].copy_from_slice(&self.chance);
        RunId(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_whatever_the_clock_does() {
        let mut ids = RunIds::new([7; 8]);
        let mut last = RunId([0; 16]);
        for millisecond in [5, 5, 6, 3, 3, 9].into_iter().chain(std::iter::repeat_n(9, 70_000)) {
            let id = ids.next(Timestamp::from_millisecond(millisecond).unwrap());
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }
}
