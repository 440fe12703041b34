//! What was found.

use backup_core::{PartName, SnapshotId, SourceName, VerifyLevel};

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each snapshot looked at, by source and sequence.
    pub snapshots: Vec<SnapshotReport>,
    /// Damage that affects no snapshot that could be read: unreadable manifests, damaged bytes
    /// that nothing needs.
    pub elsewhere: Vec<String>,
    /// Packs compared with the store's listing.
    pub packs_compared: u64,
    /// Packs read and authenticated whole.
    pub packs_read: u64,
    /// Chunks reconstructed and hashed right.
    pub chunks_proved: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes of all packs in question.
    pub bytes_total: u64,
}

impl Report {
    /// Returns whether nothing is wrong anywhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.elsewhere.is_empty()
            && self.snapshots.iter().all(|snapshot| snapshot.problems.is_empty())
    }

    /// Returns what share of the packs (0 to 1) may be damaged at most, with 95 % confidence,
    /// after a clean run that read some of them; 0 when all were read, 1 when none was.
    ///
    /// Were a share `x` damaged, wherever, `k` packs drawn by their random ids would all be sound
    /// with a probability of at most (1 − x)^k; the bound is where that falls to 5 %.
    #[must_use]
    pub fn damaged_at_most(&self) -> f64 {
        if self.packs_read >= self.packs_compared {
            return 0.0;
        }
        1.0 - 0.05_f64.powf(1.0 / self.packs_read as f64)
    }
}

/// What was found about one snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// Which.
    pub id: SnapshotId,
    /// Of which source.
    pub source: SourceName,
    /// How far it is proved now; `None` when there are problems.
    pub level: VerifyLevel,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part it affects.
    pub part: PartName,
    /// What is wrong, naming the object.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sample_says_about_the_rest() {
        let bound = |packs_read, packs_compared| {
            Report { packs_read, packs_compared, ..Report::default() }.damaged_at_most()
        };
        assert!((bound(0, 10) - 1.0).abs() < f64::EPSILON);
        // 299 draws bound a hundredth: 0.99^299 is just below 5 %.
        assert!(bound(299, 5000) < 0.01 && bound(298, 5000) > 0.01);
        assert!(bound(10, 10).abs() < f64::EPSILON);
    }
}
