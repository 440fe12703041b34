//! What a daemon's memory says to auditors.

use backup_core::port::{Catalog, RunFilter};
use backup_core::{Result, Run};
use backup_ops::audit::Entry;
use backup_ops::report::{AuditFacts, AuditReader, Period};

/// The log of the catalog that is the audit record.
pub const AUDIT: &str = "audit";

/// Read at once.
const PAGE: u32 = 2_000;

/// Returns every run on record, newest first.
pub async fn recorded_runs(catalog: &dyn Catalog) -> Result<Vec<Run>> {
    let mut filter = RunFilter { limit: Some(PAGE), ..RunFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = catalog.runs(&filter).await?;
        let full = page.len() == PAGE as usize;
        filter.before = page.last().map(|run| run.id);
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// Checks the whole audit record and returns what it says of a period.
pub async fn audit_facts(catalog: &dyn Catalog, period: Period) -> Result<AuditFacts> {
    let mut reader = AuditReader::new(period);
    let mut after = 0;
    loop {
        let page = catalog.log(AUDIT, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(reader.finish()) };
        after = *last;
        let mut entries = Vec::with_capacity(page.len());
        for (number, text) in &page {
            match serde_json::from_str::<Entry>(text) {
                Ok(entry) => entries.push(entry),
                Err(_) => {
                    reader.take(&entries);
                    reader.unreadable(*number);
                    return Ok(reader.finish());
                }
            }
        }
        reader.take(&entries);
    }
}
