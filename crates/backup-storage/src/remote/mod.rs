//! Stores behind opendal.

mod answer;
#[cfg(feature = "azure")]
mod azure;
mod body;
#[cfg(feature = "google")]
mod google;
mod reach;
mod remedy;
mod s3;
mod store;
mod tls;
mod transport;

use backup_core::Result;
#[cfg(not(all(feature = "azure", feature = "google", feature = "sftp")))]
use backup_core::{Error, ErrorKind};
use opendal::Operator;
use opendal::services::Memory;

pub(crate) use answer::refusal;
#[cfg(feature = "azure")]
pub(crate) use azure::open_azure;
#[cfg(feature = "google")]
pub(crate) use google::open_google;
pub(crate) use s3::{in_parts, open_s3};
pub(crate) use store::RemoteStore;

use store::Absence;

#[cfg(not(all(feature = "azure", feature = "google")))]
use crate::options::StoreOptions;
#[cfg(not(feature = "azure"))]
use crate::url::AzureUrl;
#[cfg(not(feature = "google"))]
use crate::url::GoogleUrl;

/// Returns an empty store in memory.
pub(crate) fn open_memory() -> Result<RemoteStore> {
    let operator = Operator::new(Memory::default())
        .map_err(|error| answer::convert("open store", None, &error))?;
    Ok(RemoteStore::new(operator.clone(), operator, "memory:".to_owned(), Absence::Certain, true))
}

#[cfg(not(feature = "azure"))]
pub(crate) fn open_azure(_: &AzureUrl, _: &StoreOptions) -> Result<RemoteStore> {
    Err(left_out("azure"))
}

#[cfg(not(feature = "google"))]
pub(crate) fn open_google(_: &GoogleUrl, _: &StoreOptions) -> Result<RemoteStore> {
    Err(left_out("google"))
}

/// Says that this build speaks to no such store.
#[cfg(not(all(feature = "azure", feature = "google", feature = "sftp")))]
pub(crate) fn left_out(feature: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "open store")
        .with("feature", feature)
        .because("this build leaves stores of this kind out")
        .hint("Build with the feature named here; the programs have all of them by default.")
}
