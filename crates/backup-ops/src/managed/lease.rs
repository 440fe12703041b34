//! A copy that is wanted for a while.

use backup_core::port::Intent;
use backup_core::{Error, ErrorStatus, Result};

use super::{Conductor, Patience};

/// A copy at the vendor's that goes when this does: [`Lease::end`] waits for that and says whether
/// it worked; dropping the lease starts it where a runtime is there. What a killed process leaves
/// behind is in the book, carries an expiry, and is swept by its name.
#[derive(Debug)]
pub struct Lease {
    conductor: Option<Box<Conductor>>,
    key: String,
    name: String,
    id: String,
}

impl Lease {
    pub(super) fn new(conductor: Conductor, key: String, name: String, id: String) -> Self {
        Self { conductor: Some(Box::new(conductor)), key, name, id }
    }

    /// Returns the vendor's id of the copy.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the copy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Drops the copy and waits until it is gone.
    pub async fn end(mut self) -> Result<()> {
        let Some(conductor) = self.conductor.take() else { return Ok(()) };
        end(&conductor, &self.key, &self.id).await
    }

    /// Drops the copy, and waits no longer than that until it is gone. What takes longer is the
    /// error, and goes on behind the caller while this process lives; after that it is in the book.
    pub async fn end_within(mut self, patience: Patience) -> Result<()> {
        let Some(conductor) = &self.conductor else { return Ok(()) };
        let hurried = conductor.hurried(patience, conductor.clock.elapsed());
        let ended = end(&hurried, &self.key, &self.id).await;
        let lasts = |error: &Error| error.status() == ErrorStatus::Permanent;
        if ended.as_ref().err().is_none_or(lasts) {
            self.conductor = None;
        }
        ended
    }
}

async fn end(conductor: &Conductor, key: &str, id: &str) -> Result<()> {
    conductor.run(Intent::DropCopy { id: id.to_owned() }).await?;
    conductor.book.strike(&conductor.source, key).await
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(conductor) = self.conductor.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (key, id, name) = (self.key.clone(), self.id.clone(), self.name.clone());
        runtime.spawn(async move {
            if let Err(error) = end(&conductor, &key, &id).await {
                tracing::warn!(%error, copy = name, "a copy at the provider could not be dropped");
            }
        });
    }
}
