//! Reading what is on record.

use std::collections::BTreeMap;

use backup_core::{Result, Run, SourceName};
use backup_crypto::Role;
use backup_repository::Repository;

use super::assemble::Facts;
use super::model::{AuditFacts, DrillLine, KeyLine, Promised};
use super::sources::SourceFacts;
use crate::drill::{self, DrillReceipt};

/// What a report needs beyond the repository.
#[derive(Clone, Debug)]
pub struct Request {
    /// What makes the report: name and version.
    pub program: String,
    /// What each source was promised; a source of the repository that is not here gets
    /// `otherwise`.
    pub promised: BTreeMap<SourceName, Promised>,
    /// For sources that nobody configured.
    pub otherwise: Promised,
    /// Only these sources (empty: all).
    pub sources: Vec<SourceName>,
    /// Every run on record; absent where no catalog is at hand.
    pub runs: Option<Vec<Run>>,
    /// The audit record, where there is one.
    pub audit: Option<AuditFacts>,
}

/// Reads snapshots, proofs, receipts of drills and keys from the repository.
pub async fn gather(repository: &Repository, request: Request) -> Result<Facts> {
    let records = repository.snapshots().await?;
    let keys = repository.keys().await?;
    let receipts = drill::history(repository, None, usize::MAX).await?;
    let mut names: Vec<SourceName> = request.promised.keys().cloned().collect();
    names.extend(records.iter().map(|record| record.snapshot.source.clone()));
    names.sort();
    names.dedup();
    names.retain(|name| request.sources.is_empty() || request.sources.contains(name));
    let source = |name: SourceName| SourceFacts {
        promised: request.promised.get(&name).unwrap_or(&request.otherwise).clone(),
        snapshots: records.iter().filter(|r| r.snapshot.source == name).cloned().collect(),
        drills: receipts.iter().filter(|r| r.source == name.as_str()).map(line).collect(),
        runs: request.runs.as_ref().map(|runs| {
            runs.iter().filter(|run| run.job.source.as_ref() == Some(&name)).cloned().collect()
        }),
        source: name,
    };
    Ok(Facts {
        repository: repository.id(),
        location: repository.store().location(),
        program: request.program.clone(),
        sources: names.into_iter().map(source).collect(),
        keys: keys
            .iter()
            .map(|key| KeyLine {
                id: key.id,
                kind: key.kind.as_str().into(),
                role: match key.role {
                    Role::Owner => "owner".into(),
                    Role::Writer => "writer".into(),
                },
                label: key.label.clone(),
                created_at: key.created_at,
                epoch: key.epoch,
            })
            .collect(),
        audit: request.audit.clone(),
    })
}

fn line(receipt: &DrillReceipt) -> DrillLine {
    let wrong: Vec<&str> = receipt
        .questions
        .iter()
        .filter(|question| question.outcome != "passed")
        .map(|question| question.detail.as_str())
        .collect();
    DrillLine {
        at: receipt.at,
        snapshot: receipt.snapshot.clone(),
        verdict: receipt.verdict.clone(),
        rto_seconds: receipt.rto_seconds,
        detail: if receipt.verdict == "passed" { String::new() } else { wrong.join("; ") },
    }
}
