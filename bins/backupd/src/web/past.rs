//! Runs of the last ninety days in short, by source: read once, then kept along.

use std::collections::BTreeMap;

use backup_core::port::{Catalog, RunFilter};
use backup_core::{JobKind, Result, Run, RunState, SourceName};
use jiff::{SignedDuration, Timestamp};

/// How far back is looked.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Runs read at once.
const PAGE: u32 = 5_000;

/// What is remembered of runs.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<SourceName, Own>);

/// What is remembered of one source.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Newest first, without what nobody looks at in a list.
    pub(super) runs: Vec<Run>,
    /// How many ended how since the catalog began.
    pub(super) totals: BTreeMap<(JobKind, &'static str), (RunState, u64)>,
}

impl Past {
    /// Reads what the catalog knows.
    pub(super) async fn load(
        catalog: &dyn Catalog,
        sources: &[SourceName],
        now: Timestamp,
    ) -> Result<Self> {
        let mut past = Self::default();
        let mut filter = RunFilter {
            since: now.checked_sub(LOOK_BACK).ok(),
            limit: Some(PAGE),
            ..RunFilter::default()
        };
        loop {
            let page = catalog.runs(&filter).await?;
            let last = page.last().map(|run| run.id);
            let full = page.len() == PAGE as usize;
            for run in page {
                if let Some(source) = run.job.source.clone() {
                    past.0.entry(source).or_default().runs.push(short(run));
                }
            }
            match last {
                Some(last) if full => filter.before = Some(last),
                _ => break,
            }
        }
        for source in sources {
            let own = past.0.entry(source.clone()).or_default();
            for kind in JobKind::ALL {
                let wanted = RunFilter {
                    source: Some(source.clone()),
                    kind: Some(kind),
                    ..RunFilter::default()
                };
                for (state, count) in catalog.count(&wanted).await? {
                    if !active(state) {
                        own.totals.insert((kind, state.as_str()), (state, count));
                    }
                }
            }
        }
        Ok(past)
    }

    /// Notes how a run stands now.
    pub(super) fn saw(&mut self, run: &Run) {
        let Some(source) = &run.job.source else { return };
        let own = self.0.entry(source.clone()).or_default();
        let place = own.runs.binary_search_by(|known| run.id.cmp(&known.id));
        let before = match place {
            Ok(place) => {
                own.runs.get_mut(place).map(|known| std::mem::replace(known, short(run.clone())))
            }
            Err(place) => {
                own.runs.insert(place, short(run.clone()));
                None
            }
        };
        let count = |own: &mut Own, state: RunState, more: bool| {
            if active(state) {
                return;
            }
            let total = own.totals.entry((run.job.kind, state.as_str())).or_insert((state, 0));
            total.1 = if more { total.1 + 1 } else { total.1.saturating_sub(1) };
        };
        if let Some(before) = before {
            count(own, before.state, false);
        }
        count(own, run.state, true);
    }

    /// Drops what is too old to look at.
    pub(super) fn age(&mut self, now: Timestamp) {
        let since = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        for own in self.0.values_mut() {
            while own.runs.last().is_some_and(|run| run.started_at < since && !active(run.state)) {
                own.runs.pop();
            }
        }
    }

    /// Returns what is known of a source.
    pub(super) fn of(&self, source: &SourceName) -> Option<&Own> {
        self.0.get(source)
    }
}

fn active(state: RunState) -> bool {
    matches!(state, RunState::Queued | RunState::Running)
}

fn short(mut run: Run) -> Run {
    run.numbers.clear();
    run.phases = Vec::new();
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::{JobKey, RunId, Trigger};

    fn run(id: u8, state: RunState, at: Timestamp) -> Run {
        let key = JobKey::of(JobKind::Backup, &"shop".parse().unwrap());
        Run { state, ..Run::begin(RunId([id; 16]), key, Trigger::Schedule, at) }
    }

    #[test]
    fn a_run_is_one_however_often_it_changes() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let shop: SourceName = "shop".parse().unwrap();
        let mut past = Past::default();
        for state in [RunState::Queued, RunState::Running, RunState::Succeeded] {
            past.saw(&run(2, state, now));
        }
        past.saw(&run(3, RunState::Running, now));
        past.saw(&run(1, RunState::Failed, now - SignedDuration::from_hours(24 * 100)));
        let own = past.of(&shop).unwrap();
        let ids: Vec<u8> = own.runs.iter().map(|run| run.id.0[0]).collect();
        assert_eq!(ids, [3, 2, 1], "newest first");
        let total = |word| own.totals.get(&(JobKind::Backup, word)).map(|(_, count)| *count);
        assert_eq!(
            (total("succeeded"), total("failed"), total("running")),
            (Some(1), Some(1), None)
        );
        // Found dead at the next start, and run again.
        past.saw(&run(3, RunState::Interrupted, now));
        past.saw(&run(3, RunState::Interrupted, now));
        past.age(now);
        let own = past.of(&shop).unwrap();
        assert_eq!(own.totals[&(JobKind::Backup, "interrupted")].1, 1);
        assert_eq!(own.runs.len(), 2, "what is too old is not looked at");
        assert_eq!(own.totals[&(JobKind::Backup, "failed")].1, 1, "but counted");
    }
}
