//! Stores behind opendal.

mod answer;
mod body;
mod remedy;
mod s3;
mod store;
mod tls;
mod transport;

use backup_core::Result;
use opendal::Operator;
use opendal::services::Memory;

pub(crate) use s3::open_s3;
pub(crate) use store::RemoteStore;

use store::Absence;

/// Returns an empty store in memory.
pub(crate) fn open_memory() -> Result<RemoteStore> {
    let operator = Operator::new(Memory::default())
        .map_err(|error| answer::convert("open store", None, &error))?;
    Ok(RemoteStore::new(operator.clone(), operator, "memory:".to_owned(), Absence::Certain, true))
}
