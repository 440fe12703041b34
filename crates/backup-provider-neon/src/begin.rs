//! Starting what was asked for, once.

use std::collections::BTreeSet;

use backup_core::port::{CopyFrom, Handle, Intent, Platform};
use backup_core::{Error, ErrorKind, OwnedName, Result};
use backup_http::{ApiError, create_or_adopt};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answers::{Branch, MadeBranch, MadeSnapshot, Operation, Stand};
use crate::client::seconds;
use crate::platform::NeonPlatform;

impl NeonPlatform {
    pub(crate) async fn start(&self, intent: &Intent) -> Result<Handle> {
        let handle = Handle::intended("neon", intent.clone(), self.clock.now());
        let (waits, made) = match intent {
            Intent::CreateSnapshot { name, expires_at } => {
                self.create_snapshot(name, *expires_at).await?
            }
            Intent::DeleteSnapshot { id } => {
                let project = self.project().await?;
                (ids(&self.client.delete_snapshot(project, id).await?), Some(id.clone()))
            }
            Intent::Copy { name, from: CopyFrom::Snapshot(id), .. } => {
                self.copy_snapshot(name, id).await?
            }
            Intent::Copy { name, from, expires_at } => self.copy(name, from, *expires_at).await?,
            Intent::DropCopy { id } => (self.drop_copy(id).await?, Some(id.clone())),
            Intent::RestoreInPlace { from, keep_as } => {
                self.restore_in_place(from, keep_as).await?
            }
            Intent::ProtectSnapshot { .. } => return Err(self.unsupported(intent.verb())),
        };
        Ok(handle.begun(waits, made))
    }

    async fn create_snapshot(
        &self,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let (project, branch) = self.place().await?;
        let (project, source) = (project.as_str(), branch.id.as_str());
        let find = || async {
            let all = self.client.snapshots(project).await?;
            let found = all.into_iter().find(|snapshot| snapshot.name == name);
            match found {
                Some(snapshot) => {
                    let operations = self.under_way(project, source).await?;
                    Ok::<_, ApiError>(Some(MadeSnapshot { snapshot, operations }))
                }
                None => Ok(None),
            }
        };
        let create = || self.client.create_snapshot(project, source, name, expires_at);
        let made = create_or_adopt(&self.client.api, find, create).await?;
        Ok((ids(&made.operations), Some(made.snapshot.id)))
    }

    async fn copy(
        &self,
        name: &str,
        from: &CopyFrom,
        expires_at: Option<Timestamp>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let (project, parent) = self.place().await?;
        let mut wanted = Map::new();
        wanted.insert("parent_id".into(), parent.id.into());
        wanted.insert("name".into(), name.into());
        match from {
            CopyFrom::At(at) => wanted.insert("parent_timestamp".into(), at.to_string().into()),
            CopyFrom::Lsn(lsn) => wanted.insert("parent_lsn".into(), lsn.to_string().into()),
            CopyFrom::Now | CopyFrom::Snapshot(_) => None,
        };
        let plain = Value::from(wanted.clone());
        if let Some(at) = expires_at {
            wanted.insert("expires_at".into(), seconds(at).into());
        }
        let wanted = Value::from(wanted);
        let create = || async {
            match self.client.create_branch(&project, &wanted).await {
                // Not every account may set an expiry; the sweep by name is there as well.
                Err(error) if expires_at.is_some() && is_about_expiry(&error) => {
                    self.client.create_branch(&project, &plain).await
                }
                answer => answer,
            }
        };
        let made =
            create_or_adopt(&self.client.api, || self.find_branch(&project, name), create).await?;
        Ok((ids(&made.operations), Some(made.branch.id)))
    }

    async fn copy_snapshot(
        &self,
        name: &str,
        snapshot: &str,
    ) -> Result<(Vec<String>, Option<String>)> {
        let (project, source) = self.place().await?;
        // Without a target, a second restore would be of the branch that the first put aside; and
        // unless said otherwise, the vendor's own tools finalize at once.
        let body =
            json!({ "name": name, "target_branch_id": source.id, "finalize_restore": false });
        let create = || self.client.restore_snapshot(&project, snapshot, &body);
        let made =
            create_or_adopt(&self.client.api, || self.find_branch(&project, name), create).await?;
        Ok((ids(&made.operations), Some(made.branch.id)))
    }

    async fn drop_copy(&self, id: &str) -> Result<Vec<String>> {
        let project = self.project().await?;
        let branch = match self.client.branch(project, id).await {
            Ok(branch) => branch,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        // The last lock: whatever a caller holds for a copy.
        if branch.is_default || branch.protected || OwnedName::parse(&branch.name).is_none() {
            return Err(Error::new(ErrorKind::Conflict, "delete branch")
                .with("provider", "neon")
                .with("branch", &branch.name)
                .because("it is not a copy that we made")
                .hint("Delete it in Neon's console if you are sure."));
        }
        Ok(ids(&self.client.delete_branch(project, id).await?))
    }

    async fn restore_in_place(
        &self,
        from: &CopyFrom,
        keep_as: &str,
    ) -> Result<(Vec<String>, Option<String>)> {
        let (project, branch) = self.place().await?;
        let (project, id) = (project.as_str(), branch.id.as_str());
        let mut body = json!({ "source_branch_id": id, "preserve_under_name": keep_as });
        match from {
            CopyFrom::At(at) => body["source_timestamp"] = at.to_string().into(),
            CopyFrom::Lsn(lsn) => body["source_lsn"] = lsn.to_string().into(),
            CopyFrom::Snapshot(snapshot) => {
                return self.put_back(project, &branch, snapshot).await;
            }
            CopyFrom::Now => return Err(self.unsupported("restore database in place to now")),
        }
        // What was kept of the state before shows that it happened.
        let find = || async {
            let kept = self.client.branches(project, keep_as).await?;
            if !kept.iter().any(|kept| kept.name == keep_as) {
                return Ok::<_, ApiError>(None);
            }
            let operations = self.under_way(project, id).await?;
            Ok(Some(MadeBranch { branch: branch.clone(), operations }))
        };
        let create = || self.client.restore_branch(project, id, &body);
        let made = create_or_adopt(&self.client.api, find, create).await?;
        Ok((ids(&made.operations), Some(made.branch.id)))
    }

    /// Puts a snapshot in the branch's place: its name and address stay, its id does not.
    async fn put_back(
        &self,
        project: &str,
        branch: &Branch,
        snapshot: &str,
    ) -> Result<(Vec<String>, Option<String>)> {
        // What is there before anybody asks: whatever the clocks say, a branch of the snapshot that is
        // none of these was made by this request.
        let all = self.client.branches(project, "").await?;
        let before: BTreeSet<String> = all.into_iter().map(|known| known.id).collect();
        let find = || async {
            let all = self.client.branches(project, "").await?;
            let found = all.into_iter().find(|known| {
                known.restored_from.as_deref() == Some(snapshot) && !before.contains(&known.id)
            });
            match found {
                Some(branch) => {
                    let operations = self.under_way(project, &branch.id).await?;
                    Ok::<_, ApiError>(Some(MadeBranch { branch, operations }))
                }
                None => Ok(None),
            }
        };
        let body = json!({ "target_branch_id": branch.id, "finalize_restore": true });
        let create = || self.client.restore_snapshot(project, snapshot, &body);
        let made = create_or_adopt(&self.client.api, find, create).await?;
        Ok((ids(&made.operations), Some(made.branch.id)))
    }

    async fn find_branch(&self, project: &str, name: &str) -> Result<Option<MadeBranch>, ApiError> {
        let all = self.client.branches(project, name).await?;
        let Some(branch) = all.into_iter().find(|branch| branch.name == name) else {
            return Ok(None);
        };
        let operations = self.under_way(project, &branch.id).await?;
        Ok(Some(MadeBranch { branch, operations }))
    }

    /// Returns what is being done to a branch, for those who did not see it begin.
    async fn under_way(&self, project: &str, branch: &str) -> Result<Vec<Operation>, ApiError> {
        let mut all = self.client.operations(project).await?;
        all.retain(|known| {
            known.branch_id.as_deref() == Some(branch) && known.stand() == Stand::Running
        });
        Ok(all)
    }
}

fn ids(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(|operation| operation.id.clone()).collect()
}

fn is_about_expiry(error: &ApiError) -> bool {
    let refused = matches!(error.status(), Some(400 | 402 | 403 | 422));
    refused && error.message().is_some_and(|text| text.to_ascii_lowercase().contains("expir"))
}
