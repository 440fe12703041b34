//! A copy that is wanted for a while.

use backup_core::Result;
use backup_core::port::Intent;

use super::Conductor;

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
