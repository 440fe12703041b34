//! Which base to take for a changed chunk: a pure decision.
//!
//! A chain of deltas stores least, and each link costs one more fetch and one more pass at
//! restore (about 0.15 s per GB). The default allows chains up to [`MAX_DEPTH`]; a chunk whose
//! delta is no longer worth it is stored whole and becomes the next base.

use crate::MAX_DEPTH;

/// When to store differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaPolicy {
    /// Longest chain of bases, at most 7.
    pub max_depth: u8,
    /// A delta is kept while it is at most this many hundredths of the whole frame's size.
    pub keep_percent: u64,
}

impl Default for DeltaPolicy {
    fn default() -> Self {
        Self { max_depth: MAX_DEPTH, keep_percent: 60 }
    }
}

impl DeltaPolicy {
    /// Returns whether a difference to a chunk of that depth should be tried.
    pub(crate) fn try_base(&self, depth: u8) -> bool {
        depth < self.max_depth.min(MAX_DEPTH)
    }

    /// Returns whether a difference of that size is kept; `whole` is the size of the chunk on
    /// its own, estimated or known.
    pub(crate) fn keep(&self, delta: usize, whole: usize) -> bool {
        delta as u64 * 100 <= whole as u64 * self.keep_percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_end() {
        let policy = DeltaPolicy::default();
        assert!(policy.try_base(0) && policy.try_base(MAX_DEPTH - 1));
        assert!(!policy.try_base(MAX_DEPTH));
        let shallow = DeltaPolicy { max_depth: 1, ..policy };
        assert!(shallow.try_base(0) && !shallow.try_base(1));
    }

    #[test]
    fn a_delta_near_the_whole_is_not_kept() {
        let policy = DeltaPolicy::default();
        assert!(policy.keep(60, 100));
        assert!(!policy.keep(61, 100));
    }
}
