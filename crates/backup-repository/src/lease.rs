//! Leases: at most one holder of an activity, agreed on through create-if-absent alone.
//!
//! A lease is a row of objects `leases/<activity>/<generation>`; the highest generation says who
//! holds it. Taking, renewing and giving back each create the next generation, which only one
//! can. It lapses when the store's clock passes its time, so that a killed holder blocks nobody
//! for long; the generation is the fencing token.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Object, Store};
use backup_core::{Error, ErrorKind, ObjectName, Result};
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::{layout, random};

/// The activity of deleting packs, and of naming those that no index names.
pub(crate) const PRUNE: &str = "prune";
/// The activity of changing who can open the repository.
pub(crate) const KEYS: &str = "keys";

/// How long a lease lasts unless renewed.
pub(crate) const LEASE_TIME: Duration = Duration::from_secs(15 * 60);

/// No claim blocks others for longer, whatever it says.
const MOST_SECONDS: u64 = 24 * 60 * 60;

#[derive(Serialize, Deserialize)]
struct Claim {
    holder: String,
    released: bool,
    seconds: u64,
}

impl Claim {
    /// One that cannot be read counts as held for as long as any.
    fn read(bytes: &[u8]) -> Self {
        let seconds = LEASE_TIME.as_secs();
        let unreadable = Self { holder: String::new(), released: false, seconds };
        let mut claim = serde_json::from_slice(bytes).unwrap_or(unreadable);
        claim.seconds = claim.seconds.min(MOST_SECONDS);
        claim
    }
}

/// A lease that is held. Give it back with [`Lease::release`]; dropped, it lapses.
#[derive(Debug)]
pub struct Lease {
    store: Arc<dyn Store>,
    activity: String,
    holder: String,
    seconds: u64,
    generation: u64,
    /// Someone else holds it now: there is nothing to give back.
    lost: bool,
}

impl Lease {
    /// Takes the lease. `Conflict` while someone else holds it; `Unsupported` on a store that
    /// does not refuse to overwrite, where nothing could be agreed on.
    pub async fn acquire(store: &Arc<dyn Store>, activity: &str) -> Result<Self> {
        let holder = backup_core::KeyId(random::bytes()?).to_string();
        Self::take(store, activity.to_owned(), holder, LEASE_TIME).await
    }

    /// As [`Lease::acquire`], for a holder who says who it is: what the same holder held before,
    /// and did not give back because it was killed, is taken over at once.
    async fn take(
        store: &Arc<dyn Store>,
        activity: String,
        holder: String,
        time: Duration,
    ) -> Result<Self> {
        if !store.capabilities().create_if_absent {
            return Err(Error::new(ErrorKind::Unsupported, "take lease")
                .with("activity", &activity)
                .with("location", store.location())
                .hint(
                    "This store overwrites objects although asked not to, so nobody can be kept \
                     from running at the same time. Use a store with conditional writes.",
                ));
        }
        let mut generation = 1;
        if let Some((last, object)) = newest(store, &activity).await? {
            let claim = match store.get(&object.name).await {
                Ok(bytes) => Claim::read(&bytes),
                // Cleared since it was listed: someone else is about to hold it.
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(held(&activity)),
                Err(error) => return Err(error),
            };
            let now = store_time(store).await?;
            let until = object.modified.as_second().saturating_add_unsigned(claim.seconds);
            let mine = claim.holder == holder;
            if !claim.released && !mine && now.as_second() < until {
                return Err(held(&activity).with("seconds left", until - now.as_second()));
            }
            generation = last.checked_add(1).ok_or_else(|| worn_out(&object.name))?;
        }
        let seconds = time.as_secs().clamp(1, MOST_SECONDS);
        let lease =
            Self { store: Arc::clone(store), activity, holder, seconds, generation, lost: false };
        lease.write(false).await?;
        lease.check_newest().await?;
        Ok(lease)
    }

    /// Returns the fencing token: higher than that of every earlier holder.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.generation
    }

    /// Extends the lease; `Conflict` when it was lost.
    pub async fn renew(&mut self) -> Result<()> {
        self.generation = self.generation.saturating_add(1);
        let renewed = async {
            self.write(false).await?;
            self.check_newest().await
        };
        let renewed = renewed.await;
        self.lost |= matches!(&renewed, Err(error) if error.kind() == ErrorKind::Conflict);
        renewed
    }

    /// A generation may be free to take because a later holder has cleared the history.
    async fn check_newest(&self) -> Result<()> {
        let last = newest(&self.store, &self.activity).await?;
        if last.is_none_or(|(generation, _)| generation <= self.generation) {
            return Ok(());
        }
        self.store.delete(&self.name(self.generation)?).await?;
        Err(held(&self.activity))
    }

    fn name(&self, generation: u64) -> Result<ObjectName> {
        layout::name(&format!("{}{generation:016}", folder(&self.activity)))
    }

    /// Gives the lease back and clears its history; `Conflict` for one that was lost, which
    /// belongs to someone else.
    pub async fn release(mut self) -> Result<()> {
        if self.lost {
            return Err(held(&self.activity));
        }
        let held = self.generation;
        self.generation = self.generation.saturating_add(1);
        self.write(true).await?;
        let listed: Vec<Object> =
            self.store.list(&folder(&self.activity)).await?.try_collect().await?;
        for object in listed {
            if generation_of(&object.name).is_some_and(|generation| generation <= held) {
                self.store.delete(&object.name).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, released: bool) -> Result<()> {
        let claim = Claim { holder: self.holder.clone(), released, seconds: self.seconds };
        let body = serde_json::to_vec(&claim)
            .map_err(|error| Error::new(ErrorKind::Failed, "write lease").because(error))?;
        self.store.create(&self.name(self.generation)?, body.into()).await.map_err(|error| {
            if error.kind() == ErrorKind::Conflict { held(&self.activity) } else { error }
        })
    }
}

impl Repository {
    /// Takes the lease of an activity that is named by `name`, of which the store learns nothing.
    /// `holder` is who asks: the same holder takes over what it held when it was killed. It lasts
    /// for `time` unless renewed. `Conflict` while another holds it; `Unsupported` on a store
    /// that does not refuse to overwrite.
    pub async fn lease(&self, name: &str, holder: &str, time: Duration) -> Result<Lease> {
        let hash = self.keys_now()?.chunk_ids().id(format!("lease of {name}").as_bytes());
        let activity = format!("job-{}", hash.to_string().get(..16).unwrap_or_default());
        Lease::take(self.store(), activity, holder.to_owned(), time).await
    }

    /// Returns the store's own time, by which the ages of what is stored are told.
    pub async fn store_time(&self) -> Result<Timestamp> {
        store_time(self.store()).await
    }
}

/// Returns the store's own time: of an object written just now. Ages are compared by it, never
/// by the clock of one of the machines.
pub(crate) async fn store_time(store: &Arc<dyn Store>) -> Result<Timestamp> {
    let random = backup_core::KeyId(random::bytes()?);
    let name = layout::name(&format!("{}{random}", layout::PROBES))?;
    store.create(&name, b"time\n".as_slice().into()).await?;
    let modified = store.stat(&name).await?.modified;
    store.delete(&name).await?;
    Ok(modified)
}

async fn newest(store: &Arc<dyn Store>, activity: &str) -> Result<Option<(u64, Object)>> {
    let listed: Vec<Object> = store.list(&folder(activity)).await?.try_collect().await?;
    Ok(listed
        .into_iter()
        .filter_map(|object| Some((generation_of(&object.name)?, object)))
        .max_by_key(|(generation, _)| *generation))
}

fn generation_of(name: &ObjectName) -> Option<u64> {
    name.file_name().parse().ok()
}

fn folder(activity: &str) -> String {
    format!("{}{activity}/", layout::LEASES)
}

fn worn_out(object: &ObjectName) -> Error {
    Error::new(ErrorKind::Integrity, "take lease")
        .with("object", object)
        .hint("No lease was ever given that often: delete that object.")
}

fn held(activity: &str) -> Error {
    Error::new(ErrorKind::Conflict, "take lease")
        .with("activity", activity)
        .hint("Someone else is doing this; wait for it to end. A killed holder's lease lapses after 15 minutes.")
}
