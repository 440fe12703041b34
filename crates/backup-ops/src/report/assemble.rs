//! From facts to a report.

use backup_core::RepositoryId;
use jiff::Timestamp;

use super::controls::controls;
use super::model::{AuditFacts, KeyLine, Period, Report};
use super::sources::{self, SourceFacts};

/// What the format promises; see `docs/format.md`.
const ENCRYPTION: &str = "Every object is sealed with AES-256-GCM under a key of its own, which is \
    sealed to the repository's X25519 key (HPKE, RFC 9180); manifests, proofs and receipts are \
    signed with Ed25519. Nothing is stored in the clear but names, sizes and times.";

/// Everything a report is made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The repository's id.
    pub repository: RepositoryId,
    /// Where it is, without secrets.
    pub location: String,
    /// What makes the report: name and version.
    pub program: String,
    /// The sources.
    pub sources: Vec<SourceFacts>,
    /// The keys.
    pub keys: Vec<KeyLine>,
    /// The audit record, where there is one.
    pub audit: Option<AuditFacts>,
}

/// Judges the facts of a period. A period that has not ended is judged up to `now`.
#[must_use]
pub fn assemble(facts: &Facts, period: Period, now: Timestamp) -> Report {
    let sources: Vec<_> =
        facts.sources.iter().map(|source| sources::report(source, period, now)).collect();
    let mut limits = vec![
        "It speaks of what this system recorded, and of nothing that people do around it: it maps \
         facts to controls and claims no compliance."
            .to_owned(),
        "Snapshots that retention dropped are counted only where their runs are on record."
            .to_owned(),
    ];
    if facts.sources.iter().any(|source| source.runs.is_none()) {
        limits.push(
            "No record of runs was at hand: failed backups that left no snapshot are missing."
                .to_owned(),
        );
    }
    if period.to > now {
        limits.push(format!("The period has not ended; it is judged up to {now}."));
    }
    let controls = controls(&sources, &facts.keys, facts.audit.as_ref(), ENCRYPTION);
    Report {
        generated_at: now,
        program: facts.program.clone(),
        period,
        repository: facts.repository,
        location: facts.location.clone(),
        sources,
        keys: facts.keys.clone(),
        encryption: ENCRYPTION.to_owned(),
        audit: facts.audit.clone(),
        controls,
        limits,
    }
}
