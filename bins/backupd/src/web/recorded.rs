//! Runs, as the catalog has them, with what was noted while they went on.

use std::cmp::Reverse;
use std::sync::Arc;

use backup_api::port::RunFilter;
use backup_api::view::{Run, RunDetail};
use backup_core::port::{Catalog, RunFilter as CoreFilter};
use backup_core::{Error, ErrorKind, Result, RunId};

use super::live::Notes;
use super::{Live, keep, ledger, translate};

/// Returns runs, newest first; those that wait or run come before all that ended.
pub(super) async fn runs(
    catalog: &Arc<dyn Catalog>,
    live: &Live,
    filter: &RunFilter,
) -> Result<Vec<Run>> {
    let most = u32::try_from(filter.offset.saturating_add(filter.limit)).unwrap_or(u32::MAX);
    let mut runs = Vec::new();
    for kind in translate::kinds(filter.job) {
        let wanted = CoreFilter {
            source: filter.source.clone(),
            kind: *kind,
            state: filter.state.map(translate::core_state),
            limit: Some(most),
            ..CoreFilter::default()
        };
        runs.extend(catalog.runs(&wanted).await?);
    }
    let active = |run: &backup_core::Run| translate::state(run.state).is_active();
    runs.sort_by_key(|run| Reverse((active(run), run.id)));
    let page = runs.iter().skip(filter.offset).take(filter.limit);
    Ok(page.map(|run| translate::run(run, live.notes(run.id).as_ref())).collect())
}

/// Returns one run with its phases and its log; `NotFound` when there is none.
pub(super) async fn run(catalog: &Arc<dyn Catalog>, live: &Live, id: &str) -> Result<RunDetail> {
    let missing = || Error::new(ErrorKind::NotFound, "find run").with("run", id.escape_debug());
    let parsed: RunId = id.parse().map_err(|_| missing())?;
    let run = catalog.run(parsed).await?.ok_or_else(missing)?;
    let notes = match live.notes(parsed) {
        Some(notes) => Some(notes),
        None => {
            let kept = catalog.get(keep::NOTES, id).await?;
            kept.map(|text| ledger::read::<Notes>(&text)).transpose()?
        }
    };
    let shown = translate::run(&run, notes.as_ref());
    let (phases, log) = notes.map(|notes| (notes.phases, notes.log)).unwrap_or_default();
    let phases = if phases.is_empty() { translate::phases(&run) } else { phases };
    Ok(RunDetail { run: shown, phases, log })
}
