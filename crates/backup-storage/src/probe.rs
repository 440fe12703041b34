//! Finding out what a store really does.

use backup_core::port::Store;
use backup_core::{Error, ErrorKind, ObjectName, Result};
use bytes::Bytes;
use futures::future::join_all;

/// How many race for one name; some servers check a condition and then write, and only a
/// race shows it.
const RACERS: u8 = 4;
const ROUNDS: usize = 2;

/// Returns whether `store` refuses to create an object that exists, also when several try at
/// the same moment.
///
/// Writes one small object per round under `probe/`, and deletes it; a store that refuses to
/// delete keeps it. Fails with the store's own error where writing fails.
pub async fn probe_create_if_absent(store: &dyn Store) -> Result<bool> {
    for _ in 0..ROUNDS {
        let name = random_name()?;
        let held = holds(store, &name).await;
        if let Err(error) = store.delete(&name).await {
            tracing::debug!(%error, object = %name, "the probe object stays");
        }
        if !held? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Races for `name`, then tries once more; returns whether there was exactly one winner whose
/// bytes stayed.
async fn holds(store: &dyn Store, name: &ObjectName) -> Result<bool> {
    let tries = (0..RACERS).map(|racer| async move { (racer, create(store, name, racer).await) });
    let mut winners = Vec::new();
    for (racer, won) in join_all(tries).await {
        if won? {
            winners.push(racer);
        }
    }
    let [winner] = winners.as_slice() else { return Ok(false) };
    if create(store, name, RACERS).await? {
        return Ok(false);
    }
    match store.get(name).await {
        Ok(body) => Ok(body == content(*winner)),
        // A host that may only write cannot look; the refusals are evidence enough.
        Err(error) => {
            tracing::debug!(%error, object = %name, "the probe object cannot be read");
            Ok(true)
        }
    }
}

async fn create(store: &dyn Store, name: &ObjectName, racer: u8) -> Result<bool> {
    match store.create(name, content(racer)).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

fn content(racer: u8) -> Bytes {
    Bytes::from(format!("probe {racer}"))
}

fn random_name() -> Result<ObjectName> {
    let random = getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Failed, "name probe object").because(error.to_string())
    })?;
    format!("probe/{random:016x}").parse()
}
