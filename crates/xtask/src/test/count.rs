//! How many tests passed and failed, read from what the test runners print.

use std::fmt;
use std::ops::Add;

/// A tally.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Count {
    /// One check that passed.
    pub(super) const ONE: Self = Self { passed: 1, failed: 0 };

    /// Adds up the summary lines of nextest and of the standard test harness.
    pub(super) fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        lines.into_iter().map(Self::read_line).fold(Self::default(), Add::add)
    }

    fn read_line(line: &str) -> Self {
        // "Summary [  1.2s] 5 tests run: 4 passed (1 slow), 1 failed, 8 skipped"
        // "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; …"
        let line = line.trim();
        let parts = if let Some((_, parts)) = line.split_once(" run: ") {
            if !line.starts_with("Summary") {
                return Self::default();
            }
            parts
        } else if let Some(parts) = line.strip_prefix("test result: ") {
            parts.split_once(". ").map_or("", |(_, parts)| parts)
        } else {
            return Self::default();
        };
        let mut count = Self::default();
        for part in parts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => count.passed += number,
                Some("failed" | "timed" | "exec") => count.failed += number,
                _ => {}
            }
        }
        count
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood_and_other_lines_are_not_counted() {
        let lines = [
            "     Summary [   4.676s] 5 tests run: 4 passed (1 slow), 1 failed, 8 skipped",
            "     Summary [   1.0s] 3 tests run: 1 passed, 1 timed out, 1 exec failed",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "a test said: 9 passed, 9 failed",
            "9 tests run: 9 passed",
        ];
        assert_eq!(Count::read(lines), Count { passed: 8, failed: 4 });
    }
}
