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

    /// Adds up the summary lines of nextest or, where there is none, of the standard test
    /// harness: nextest repeats those of every test that failed.
    pub(super) fn read<S: AsRef<str>>(lines: &[S]) -> Self {
        let sum = |read: fn(&str) -> Option<Self>| {
            lines.iter().filter_map(|line| read(line.as_ref())).reduce(Add::add)
        };
        sum(Self::of_nextest).or_else(|| sum(Self::of_harness)).unwrap_or_default()
    }

    /// "Summary [  1.2s] 5 tests run: 4 passed (1 slow), 1 failed, 8 skipped"
    fn of_nextest(line: &str) -> Option<Self> {
        let (head, parts) = line.trim().split_once(" run: ")?;
        head.starts_with("Summary [").then(|| Self::of_parts(parts))
    }

    /// "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; …"
    fn of_harness(line: &str) -> Option<Self> {
        let (_, parts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        Some(Self::of_parts(parts))
    }

    fn of_parts(parts: &str) -> Self {
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
    fn nextest_is_believed_before_the_harness_it_quotes() {
        let lines = [
            "     Summary [   4.676s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 8 skipped",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 15 filtered out",
            "9 tests run: 9 passed",
        ];
        assert_eq!(Count::read(&lines), Count { passed: 3, failed: 2 });
    }

    #[test]
    fn the_harness_is_added_up_and_other_lines_are_not_counted() {
        let lines = [
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "a test said: 9 passed, 9 failed",
        ];
        assert_eq!(Count::read(&lines), Count { passed: 5, failed: 1 });
        assert_eq!(Count::read(&["nothing"]), Count::default());
    }
}
