//! Looking how far something is.

use std::time::Duration;

use backup_core::Result;
use backup_core::port::{Done, Handle, Intent, Progress};

use crate::answers::Stand;
use crate::platform::NeonPlatform;

impl NeonPlatform {
    pub(crate) async fn look(&self, handle: &Handle) -> Result<Progress> {
        let project = self.project().await?;
        for id in &handle.waits {
            let operation = match self.client.operation(project, id).await {
                Ok(operation) => operation,
                // Operations are forgotten after a while, those of a deleted branch at once.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            match operation.stand() {
                Stand::Done => {}
                Stand::Failed => {
                    let why = operation.error.unwrap_or_else(|| "no reason was given".to_owned());
                    let reason = format!("{} {}: {why}", operation.action, operation.status);
                    return Ok(Progress::Failed { reason });
                }
                Stand::Running => {
                    let state = format!("{} {}", operation.action, operation.status);
                    return Ok(self.running(handle, state));
                }
            }
        }
        self.conclude(project, handle).await
    }

    /// All operations are done; what they were for must be there, or gone.
    async fn conclude(&self, project: &str, handle: &Handle) -> Result<Progress> {
        let id = handle.made.clone();
        let Some(made) = &id else { return Ok(Progress::Done(Done::default())) };
        match &handle.intent {
            Intent::Copy { .. } | Intent::RestoreInPlace { .. } => {
                let branch = self.client.branch(project, made).await?;
                if branch.current_state != "ready" {
                    return Ok(self.running(handle, format!("branch {}", branch.current_state)));
                }
            }
            Intent::CreateSnapshot { name, .. } => {
                let all = self.client.snapshots(project).await?;
                if !all.iter().any(|snapshot| snapshot.id == *made) {
                    return Ok(self.running(handle, format!("{name} is not listed yet")));
                }
            }
            Intent::DeleteSnapshot { .. } => {
                let all = self.client.snapshots(project).await?;
                if all.iter().any(|snapshot| snapshot.id == *made) {
                    return Ok(self.running(handle, "still listed".to_owned()));
                }
            }
            Intent::DropCopy { .. } => match self.client.branch(project, made).await {
                Ok(branch) => {
                    return Ok(self.running(handle, format!("branch {}", branch.current_state)));
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            },
            Intent::ProtectSnapshot { .. } => {}
        }
        Ok(Progress::Done(Done { id, notes: notes(&handle.intent) }))
    }

    /// Every second at first, ever more rarely later.
    fn running(&self, handle: &Handle, state: String) -> Progress {
        let since = self.clock.now().duration_since(handle.begun_at);
        let since = Duration::try_from(since).unwrap_or_default();
        let look_again = (since / 10).clamp(Duration::from_secs(1), Duration::from_secs(15));
        Progress::Running { state, look_again }
    }
}

fn notes(intent: &Intent) -> Vec<String> {
    match intent {
        Intent::RestoreInPlace { from: backup_core::port::CopyFrom::Snapshot(_), .. } => vec![
            "the branch has another id now, and its state before is kept by Neon under its name with (old)".into(),
            "until it has history of its own, no point in time before this restore can be reached: take a backup".into(),
        ],
        Intent::RestoreInPlace { keep_as, .. } => {
            vec![format!("the state before is kept as the branch {keep_as}, and so are its children")]
        }
        _ => Vec::new(),
    }
}
