//! What it does when told to.

use async_trait::async_trait;
use backup_api::port::{Actions, Job, RestoreQuestion, Trigger};
use backup_api::view::{LiveKind, RestorePreview, Run, RunCause, RunDetail, RunState};
use backup_core::{Error, ErrorKind, Result};
use backup_ops::document::StepDocument;

use super::{World, missing};

#[async_trait]
impl Actions for World {
    async fn trigger(&self, trigger: &Trigger) -> Result<Run> {
        let mut state = self.lock();
        state.known(&trigger.source)?;
        let engine = state.fleet.source(trigger.source.as_str()).map(|s| s.engine.clone());
        if trigger.job == Job::Drill && engine.as_deref() == Some("files") {
            return Err(Error::new(ErrorKind::Unsupported, "start drill")
                .with("source", &trigger.source)
                .hint("Drills need a database engine."));
        }
        if state.busy(&trigger.source, trigger.job) {
            return Err(Error::new(ErrorKind::Conflict, format!("start {}", trigger.job.as_str()))
                .with("source", &trigger.source)
                .hint("It waits or runs already; cancel that run first."));
        }
        state.made += 1;
        let run = Run {
            id: format!("manual-{:06}", state.made),
            source: Some(trigger.source.clone()),
            job: trigger.job,
            cause: RunCause::Manual,
            by: Some(trigger.by.clone()),
            state: RunState::Queued,
            attempt: 1,
            queued_at: state.now,
            started_at: None,
            finished_at: None,
            expected_bytes: None,
            done_bytes: 0,
            stored_bytes: 0,
            snapshot: None,
            error: None,
            remedy: None,
        };
        let detail = RunDetail { run: run.clone(), phases: Vec::new(), log: Vec::new() };
        state.runs.insert(run.id.clone(), detail);
        state.tell(Some(run.id.clone()), run.source.clone(), LiveKind::Run { run: run.clone() });
        Ok(run)
    }

    async fn cancel(&self, run: &str) -> Result<Run> {
        let mut state = self.lock();
        let now = state.now;
        let detail = state.runs.get_mut(run).ok_or_else(|| missing("run", run))?;
        if !detail.run.state.is_active() {
            return Err(Error::new(ErrorKind::Conflict, "cancel run")
                .with("run", run)
                .with("state", detail.run.state.as_str()));
        }
        detail.run.state = RunState::Cancelled;
        detail.run.finished_at = Some(now);
        let run = detail.run.clone();
        state.tell(Some(run.id.clone()), run.source.clone(), LiveKind::Run { run: run.clone() });
        Ok(run)
    }

    async fn preview_restore(&self, question: &RestoreQuestion) -> Result<RestorePreview> {
        let state = self.lock();
        let newest = question.snapshot.strip_suffix("@latest");
        let found = state
            .snapshots
            .iter()
            .filter(|snapshot| match newest {
                Some(source) => snapshot.source == source,
                None => {
                    question.snapshot == "latest" || snapshot.id.starts_with(&question.snapshot)
                }
            })
            .max_by_key(|snapshot| snapshot.started_at)
            .ok_or_else(|| missing("snapshot", &question.snapshot))?;
        let source = found.source.parse()?;
        Ok(RestorePreview {
            snapshot: found.id.clone(),
            at: found.started_at,
            tables: found.tables,
            rows: found.rows,
            bytes: found.read_bytes,
            steps: vec![StepDocument {
                action: "copy rows".into(),
                detail: format!("{} tables", found.tables),
            }],
            findings: Vec::new(),
            expected_seconds: state
                .fleet
                .source(&found.source)
                .and_then(|source| source.drill.as_ref()?.rto_seconds),
            command: format!("backupctl restore {} --to TARGET", &found.id[..8]),
            source,
        })
    }
}
