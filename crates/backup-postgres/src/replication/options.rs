//! `BASE_BACKUP` as each major spells it; pure.

use crate::quote_literal;

/// How to take a base backup.
///
/// The server never verifies page checksums: it would end a long backup with an error after the
/// last byte. Whoever takes the pages verifies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseBackupOptions {
    /// The label in `backup_label`.
    pub label: String,
    /// Checkpoint at once (a burst of writes) instead of spread out (a wait of minutes).
    pub fast_checkpoint: bool,
    /// Send the WAL from start to stop with the backup, at its end. Then the server does not wait
    /// until that is archived, which may be never.
    pub wal: bool,
    /// Ceiling in KiB per second; the server takes 32 to 1048576.
    pub max_rate_kib: Option<u32>,
    /// Send a backup manifest.
    pub manifest: bool,
    /// Send only what changed since the manifest uploaded before (17 and newer).
    pub incremental: bool,
}

impl BaseBackupOptions {
    /// Returns options for a complete backup with its WAL and a manifest, at full speed.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            fast_checkpoint: true,
            wal: true,
            max_rate_kib: None,
            manifest: true,
            incremental: false,
        }
    }

    /// Returns the command for a server of that version (`150004`).
    pub(super) fn command(&self, version: u32) -> String {
        if version >= 150_000 { self.named() } else { self.positional() }
    }

    fn named(&self) -> String {
        let mut options = vec![format!("LABEL {}", quote_literal(&self.label)), "PROGRESS".into()];
        let checkpoint = if self.fast_checkpoint { "fast" } else { "spread" };
        options.push(format!("CHECKPOINT '{checkpoint}'"));
        if self.wal {
            options.push("WAL".into());
            options.push("WAIT false".into());
        }
        options.extend(self.rate());
        options.push("TABLESPACE_MAP".into());
        options.push("VERIFY_CHECKSUMS false".into());
        options.push(format!("MANIFEST '{}'", if self.manifest { "yes" } else { "no" }));
        if self.incremental {
            options.push("INCREMENTAL".into());
        }
        format!("BASE_BACKUP ({})", options.join(", "))
    }

    /// Before 15 the options stand in a row, some as negations.
    fn positional(&self) -> String {
        let mut words = vec![format!("BASE_BACKUP LABEL {} PROGRESS", quote_literal(&self.label))];
        if self.fast_checkpoint {
            words.push("FAST".into());
        }
        if self.wal {
            words.push("WAL NOWAIT".into());
        }
        words.extend(self.rate());
        words.push("TABLESPACE_MAP NOVERIFY_CHECKSUMS".into());
        if self.manifest {
            words.push("MANIFEST 'yes'".into());
        }
        words.join(" ")
    }

    fn rate(&self) -> Option<String> {
        self.max_rate_kib.map(|rate| format!("MAX_RATE {}", rate.clamp(32, 1 << 20)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_major_gets_its_own_words() {
        let mut options = BaseBackupOptions::new("it's");
        assert_eq!(
            options.command(180_001),
            "BASE_BACKUP (LABEL 'it''s', PROGRESS, CHECKPOINT 'fast', WAL, WAIT false, \
             TABLESPACE_MAP, VERIFY_CHECKSUMS false, MANIFEST 'yes')"
        );
        assert_eq!(
            options.command(140_011),
            "BASE_BACKUP LABEL 'it''s' PROGRESS FAST WAL NOWAIT TABLESPACE_MAP \
             NOVERIFY_CHECKSUMS MANIFEST 'yes'"
        );
        options.max_rate_kib = Some(1);
        options.incremental = true;
        options.fast_checkpoint = false;
        options.wal = false;
        options.manifest = false;
        assert_eq!(
            options.command(170_000),
            "BASE_BACKUP (LABEL 'it''s', PROGRESS, CHECKPOINT 'spread', MAX_RATE 32, \
             TABLESPACE_MAP, VERIFY_CHECKSUMS false, MANIFEST 'no', INCREMENTAL)"
        );
        assert_eq!(
            options.command(149_999),
            "BASE_BACKUP LABEL 'it''s' PROGRESS MAX_RATE 32 TABLESPACE_MAP NOVERIFY_CHECKSUMS"
        );
    }
}
