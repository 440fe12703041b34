//! Starting what was asked for, once, and looking how far it is.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use backup_core::port::{Ability, CopyFrom, Done, Handle, Intent, NativeState, Platform, Progress};
use backup_core::{Error, ErrorKind, OwnedName, Result};
use backup_http::{ApiError, create_or_adopt};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answers::Branch;
use crate::config::Kind;
use crate::platform::{PlanetscalePlatform, state};

impl PlanetscalePlatform {
    pub(crate) async fn start(&self, intent: &Intent) -> Result<Handle> {
        let made = match intent {
            Intent::CreateSnapshot { name, expires_at } => {
                self.create_backup(name, *expires_at).await?
            }
            Intent::DeleteSnapshot { id } => {
                self.delete_backup(id).await?;
                id.clone()
            }
            Intent::ProtectSnapshot { id, protected } => {
                let branch = self.branch_name().await?;
                self.client.protect_backup(&branch, id, *protected).await?;
                id.clone()
            }
            Intent::Copy {
                name, from: from @ (CopyFrom::At(_) | CopyFrom::Snapshot(_)), ..
            } if matches!(from, CopyFrom::Snapshot(_)) || self.can(Ability::CopyAt) => {
                self.copy(name, from).await?
            }
            Intent::DropCopy { id } => {
                self.drop_copy(id).await?;
                id.clone()
            }
            Intent::Copy { .. } | Intent::RestoreInPlace { .. } => {
                return Err(self.unsupported(intent.verb()));
            }
        };
        let handle = Handle::intended("planetscale", intent.clone(), self.clock.now());
        Ok(handle.begun(Vec::new(), Some(made)))
    }

    async fn create_backup(&self, name: &str, expires_at: Option<Timestamp>) -> Result<String> {
        let branch = self.branch_name().await?;
        let mut body = Map::new();
        body.insert("name".into(), name.into());
        if let Some((value, unit)) = expires_at.map(|at| retention(self.clock.now(), at)) {
            body.insert("retention_value".into(), value.into());
            body.insert("retention_unit".into(), unit.into());
        }
        let body = Value::from(body);
        let find = || async {
            let all = self.client.backups(&branch).await?;
            Ok::<_, ApiError>(all.into_iter().find(|backup| backup.name == name))
        };
        let create = || self.client.create_backup(&branch, &body);
        Ok(create_or_adopt(&self.client.api, find, create).await?.id)
    }

    async fn delete_backup(&self, id: &str) -> Result<()> {
        let branch = self.branch_name().await?;
        match self.client.backup(&branch, id).await {
            Ok(backup) if backup.required => Err(Error::new(ErrorKind::Conflict, "delete backup")
                .with("provider", "planetscale")
                .with("backup", id)
                .because("it is one of PlanetScale's own")
                .hint("PlanetScale deletes it by its own retention.")),
            Ok(_) => Ok(self.client.delete_backup(&branch, id).await?),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn copy(&self, name: &str, from: &CopyFrom) -> Result<String> {
        let parent = self.branch_name().await?;
        let mut body = json!({ "name": name, "parent_branch": parent });
        match from {
            CopyFrom::At(at) => body["restore_point"] = at.to_string().into(),
            CopyFrom::Snapshot(id) => body["backup_id"] = id.as_str().into(),
            CopyFrom::Now | CopyFrom::Lsn(_) => {
                return Err(self.unsupported("copy database at the provider"));
            }
        }
        let (size, own) = match (&self.config.cluster_size, from) {
            (Some(size), _) => (Some(size.clone()), None),
            (None, CopyFrom::Snapshot(id)) if self.kind == Kind::Mysql => {
                self.size_for(&parent, id).await?
            }
            (None, _) => (self.client.branch(&parent).await?.cluster_name, None),
        };
        let other = own.filter(|own| size.as_ref() != Some(own));
        if let Some(size) = size {
            body["cluster_size"] = size.into();
        }
        let done = self.make_branch(name, &body).await;
        let refused = |error: &ApiError| matches!(error.status(), Some(400 | 422));
        let made = match (done, other) {
            // That we chose it may be why: what the source has is a size that its backups go into.
            (Err(error), Some(own)) if refused(&error) => {
                body["cluster_size"] = own.into();
                self.make_branch(name, &body).await?
            }
            (done, _) => done?,
        };
        Ok(made.name)
    }

    async fn make_branch(&self, name: &str, body: &Value) -> Result<Branch, ApiError> {
        let find = || async {
            match self.client.branch(name).await {
                Ok(branch) => Ok::<_, ApiError>(Some(branch)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        };
        let create = || self.client.create_branch(body);
        create_or_adopt(&self.client.api, find, create).await
    }

    async fn drop_copy(&self, name: &str) -> Result<()> {
        // The last lock: whatever a caller holds for a copy.
        let refuse = |why: &str| {
            Err(Error::new(ErrorKind::Conflict, "delete branch")
                .with("provider", "planetscale")
                .with("branch", name)
                .because(why.to_owned())
                .hint("Delete it at PlanetScale if you are sure."))
        };
        if OwnedName::parse(name).is_none() {
            return refuse("it is not a copy that we made");
        }
        match self.client.branch(name).await {
            Ok(branch) if branch.production && self.born().get(name) != Some(&true) => {
                refuse("it is a production branch now")
            }
            Ok(_) => Ok(self.client.delete_branch(name).await?),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn born(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.born.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn look(&self, handle: &Handle) -> Result<Progress> {
        let id = handle.made.clone();
        let made = id.as_deref().unwrap_or_else(|| handle.intent.object());
        let branch = self.branch_name().await?;
        let mut safe_migrations = false;
        let (word, progress) = match &handle.intent {
            Intent::CreateSnapshot { .. } => {
                let backup = self.client.backup(&branch, made).await?;
                let state = state(&backup.state);
                (backup.state, state)
            }
            Intent::Copy { .. } => {
                let branch = self.client.branch(made).await?;
                // Of MySQL the schema comes last.
                let whole = self.kind == Kind::Postgres || branch.schema_ready;
                let ready = branch.state == "ready" && branch.ready && whole;
                if ready {
                    self.born().entry(branch.name).or_insert(branch.production);
                }
                safe_migrations = branch.safe_migrations;
                (branch.state, if ready { NativeState::Ready } else { NativeState::Running })
            }
            Intent::DropCopy { .. } => {
                gone(self.client.branch(made).await.map(|branch| branch.state))?
            }
            Intent::DeleteSnapshot { .. } => {
                gone(self.client.backup(&branch, made).await.map(|backup| backup.state))?
            }
            Intent::ProtectSnapshot { .. } | Intent::RestoreInPlace { .. } => {
                (String::new(), NativeState::Ready)
            }
        };
        Ok(match progress {
            NativeState::Ready => {
                let mut notes = notes(&handle.intent);
                if safe_migrations && !notes.is_empty() {
                    notes.push(SAFE_MIGRATIONS.to_owned());
                }
                Progress::Done(Done { id, notes })
            }
            NativeState::Failed => Progress::Failed { reason: format!("the backup is {word}") },
            NativeState::Running | NativeState::Other(_) => self.running(handle, word),
        })
    }

    /// Every five seconds at first, ever more rarely later: clusters take minutes.
    fn running(&self, handle: &Handle, state: String) -> Progress {
        let since = Duration::try_from(self.clock.now().duration_since(handle.begun_at))
            .unwrap_or_default();
        let look_again = (since / 10).clamp(Duration::from_secs(5), Duration::from_secs(60));
        Progress::Running { state, look_again }
    }
}

/// What is not there any more is done.
fn gone(answer: Result<String, ApiError>) -> Result<(String, NativeState)> {
    match answer {
        Ok(state) => Ok((state, NativeState::Running)),
        Err(error) if error.is_not_found() => Ok((String::new(), NativeState::Ready)),
        Err(error) => Err(error.into()),
    }
}

const SAFE_MIGRATIONS: &str = "the branch has safe migrations on: its schema is changed by deploy requests \
                               only, and nothing can be restored into it until they are switched off";

fn notes(intent: &Intent) -> Vec<String> {
    match intent {
        Intent::Copy { name, .. }
            if OwnedName::parse(name).is_none_or(|name| !name.purpose().is_temporary()) =>
        {
            vec![format!("the branch {name} is a cluster of its own, billed until you delete it")]
        }
        _ => Vec::new(),
    }
}

/// How long something is kept, in the vendor's units, never shorter than asked.
fn retention(now: Timestamp, until: Timestamp) -> (u64, &'static str) {
    let seconds = u64::try_from(until.duration_since(now).as_secs()).unwrap_or_default();
    let hours = seconds.div_ceil(3600).max(1);
    if hours <= 1000 { (hours, "hour") } else { (hours.div_ceil(24).min(1000), "day") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_kept_at_least_so_long() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let kept = |text: &str| retention(now, text.parse().unwrap());
        assert_eq!(kept("2026-01-01T00:00:00Z"), (1, "hour"));
        assert_eq!(kept("2026-01-02T00:00:01Z"), (25, "hour"));
        assert_eq!(kept("2026-04-01T00:00:00Z"), (90, "day"));
    }
}
