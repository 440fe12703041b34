//! Cursors: where a rotating check stopped, kept in the repository so that it goes on there
//! from whichever machine runs it next.

use backup_core::{Error, ErrorKind, ObjectName, Result};
use backup_crypto::ObjectKind;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::signed::{from_writer_signed, to_writer_signed};
use crate::{blob, layout, random};

const DOMAIN: &str = "cursor";

#[derive(Serialize, Deserialize)]
struct Cursor {
    name: String,
    position: String,
}

impl Repository {
    /// Returns where the check called `name` stopped; `None` when it never ran. A cursor that
    /// cannot be believed counts as none: the check starts over.
    pub async fn cursor(&self, name: &str) -> Result<Option<String>> {
        for (_, object) in self.cursors(name).await?.into_iter().rev() {
            match self.read_cursor(name, &object).await {
                Ok(position) => return Ok(Some(position)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Integrity | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Remembers where the check called `name` stopped.
    pub async fn set_cursor(&self, name: &str, position: &str) -> Result<()> {
        let old = self.cursors(name).await?;
        let next = old.last().map_or(1, |(number, _)| number.saturating_add(1));
        let keys = self.keys_now()?;
        let object = random::bytes()?;
        let cursor = Cursor { name: name.to_owned(), position: position.to_owned() };
        let payload = to_writer_signed(&keys, DOMAIN, &cursor)?;
        let sealed = blob::seal(&keys, ObjectKind::Verification, object, &payload)?;
        let random = backup_core::KeyId(object);
        let text = format!("{}{name}/{next:016}-{random}", layout::CURSORS);
        self.store().create(&layout::name(&text)?, sealed).await?;
        for (_, object) in old {
            self.store().delete(&object).await?;
        }
        Ok(())
    }

    /// Lists the cursor's objects, oldest first.
    async fn cursors(&self, name: &str) -> Result<Vec<(u64, ObjectName)>> {
        let folder = format!("{}{name}/", layout::CURSORS);
        let listed: Vec<_> = self.store().list(&folder).await?.try_collect().await?;
        let mut cursors: Vec<(u64, ObjectName)> = listed
            .into_iter()
            .filter_map(|object| {
                Some((object.name.file_name().split('-').next()?.parse().ok()?, object.name))
            })
            .collect();
        cursors.sort();
        Ok(cursors)
    }

    async fn read_cursor(&self, name: &str, object: &ObjectName) -> Result<String> {
        let damaged = || Error::new(ErrorKind::Integrity, "read cursor").with("object", object);
        let id: backup_core::KeyId = object
            .file_name()
            .split('-')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .ok_or_else(damaged)?;
        let sealed = self.store().get(object).await?;
        let keys = self.keys_now()?;
        let payload = blob::open(&keys, ObjectKind::Verification, id.0, &sealed)?;
        let cursor: Cursor = from_writer_signed(&keys, DOMAIN, &payload)?;
        if cursor.name == name { Ok(cursor.position) } else { Err(damaged()) }
    }
}
