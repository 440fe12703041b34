//! What the daemon does when told to.

use async_trait::async_trait;
use backup::config::SourceSettings;
use backup::ops::{Selector, document::StepDocument, select};
use backup_api::port::{Actions, Job, RestoreQuestion, Trigger};
use backup_api::view::{RestorePreview, Run};
use backup_core::{Error, ErrorKind, Result, RunId, SnapshotKind};

use super::{Bridge, translate};

/// Refuses what cannot come to anything by its settings.
fn supports(source: &SourceSettings, job: Job) -> Result<()> {
    let refused = |why, hint| {
        let error = Error::new(ErrorKind::Unsupported, "start run").with("job", job.as_str());
        Err(error.with("source", &source.name).because(why).hint(hint))
    };
    match job {
        Job::PointDrill if source.mode != SnapshotKind::Physical => refused(
            "points in time need a physical snapshot",
            "Write backup.mode = \"physical\" into its [[source]].",
        ),
        Job::DisasterDrill if source.drill.sheet.is_none() => refused(
            "drill.sheet names no recovery key",
            "Write drill.sheet = \"file:/path/of/recovery-sheet.txt\".",
        ),
        Job::Native if !source.provider.takes_snapshots() => refused(
            "nobody can ask its provider for a snapshot",
            "Start `backup` for a snapshot in the repository.",
        ),
        _ => Ok(()),
    }
}

#[async_trait]
impl Actions for Bridge {
    async fn trigger(&self, trigger: &Trigger) -> Result<Run> {
        self.known(&trigger.source)?;
        let loaded = self.daemon.loaded();
        supports(loaded.settings.source(trigger.source.as_str())?, trigger.job)?;
        let key = translate::key(trigger.job, &trigger.source);
        let run = self.daemon.request(key, Some(trigger.by.clone())).await?;
        Ok(translate::run(&run, self.live.notes(run.id).as_ref()))
    }

    async fn cancel(&self, run: &str) -> Result<Run> {
        let id: RunId = run.parse().map_err(|error: Error| error.into_kind(ErrorKind::NotFound))?;
        let cancelled = self.daemon.cancel(id, None).await;
        let run = match cancelled {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Known, but over: that is another answer than not known.
                return match self.daemon.catalog().run(id).await? {
                    Some(run) => Err(Error::new(ErrorKind::Conflict, "cancel run")
                        .with("run", id)
                        .with("state", run.state.as_str())),
                    None => Err(error),
                };
            }
            run => run?,
        };
        Ok(translate::run(&run, self.live.notes(id).as_ref()))
    }

    async fn preview_restore(&self, question: &RestoreQuestion) -> Result<RestorePreview> {
        if question.at.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "preview restore")
                .with("at", "a point in time")
                .hint("Use `backupctl restore --at TIME --preview`."));
        }
        let records = self.records.borrow().clone();
        let selector: Selector = question.snapshot.parse()?;
        let newest = select(&records, &selector)?.snapshot.id;
        let record = self.daemon.snapshot(newest).await?;
        let snapshot = &record.snapshot;
        let wanted = |table: &&backup_core::TableEvidence| {
            let name = format!("{}.{}", table.schema, table.name);
            let all = question.tables.is_empty() && question.schemas.is_empty();
            all || question.tables.contains(&name) || question.schemas.contains(&table.schema)
        };
        let tables: Vec<_> = snapshot.evidence.tables.iter().filter(wanted).collect();
        if tables.is_empty() && !(question.tables.is_empty() && question.schemas.is_empty()) {
            return Err(Error::new(ErrorKind::NotFound, "find tables")
                .with("snapshot", snapshot.id.short())
                .hint("`backupctl show SNAPSHOT` lists what it holds."));
        }
        let chosen: Vec<_> = question
            .tables
            .iter()
            .map(|table| format!(" --table {table}"))
            .chain(question.schemas.iter().map(|schema| format!(" --schema {schema}")))
            .collect();
        let step = |action: &str, detail: String| StepDocument { action: action.into(), detail };
        let bytes = tables.iter().map(|table| table.bytes).sum();
        Ok(RestorePreview {
            snapshot: snapshot.id.to_string(),
            source: snapshot.source.clone(),
            at: snapshot.started_at,
            tables: tables.len() as u64,
            rows: tables.iter().map(|table| table.rows).sum(),
            bytes,
            steps: vec![
                step("create the target", "or take it as it is when it is empty".into()),
                step("create the schema", "without indexes and constraints".into()),
                step("copy rows", format!("{} tables", tables.len())),
                step("build indexes and constraints", "in parallel".into()),
            ],
            findings: Vec::new(),
            expected_seconds: None,
            command: format!(
                "backupctl restore {} --to TARGET{}",
                snapshot.id.short(),
                chosen.concat()
            ),
        })
    }
}
