//! What a caller decides about a store.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_core::Secret;
use backup_core::port::Observer;

/// How to talk to a store. The defaults suit a server on a good line.
#[derive(Clone)]
pub struct StoreOptions {
    /// A request that makes no progress for this long fails (and is retried). Time spent
    /// waiting for bandwidth does not count.
    pub timeout: Duration,
    /// What happens after a temporary failure.
    pub retry: Retry,
    /// Requests at the same time, at most (at least one).
    pub max_requests: usize,
    /// Bytes per second written, all requests together; `None` is unlimited.
    pub upload_rate: Option<NonZeroU64>,
    /// Bytes per second read, all requests together; `None` is unlimited.
    pub download_rate: Option<NonZeroU64>,
    /// Whether to find out if the store refuses to create what exists.
    pub create_if_absent: CreateIfAbsent,
    /// Keys for object storage; `None` uses the AWS chain: environment, profile files, web
    /// identity, container and instance metadata.
    pub credentials: Option<Credentials>,
    /// What opens Azure Blob; `None` uses Azure's chain: environment, CLI, service principal,
    /// workload identity, managed identity.
    pub azure: Option<AzureCredentials>,
    /// Region where the URL names none.
    pub region: Option<String>,
    /// Endpoint where the URL names none.
    pub endpoint: Option<String>,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Overrides the guess whether reads are cheap and fast; see
    /// [`StoreCapabilities::near`](backup_core::port::StoreCapabilities).
    pub near: Option<bool>,
    /// Is told about retries.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            retry: Retry::default(),
            max_requests: 16,
            upload_rate: None,
            download_rate: None,
            create_if_absent: CreateIfAbsent::Probe,
            credentials: None,
            azure: None,
            region: None,
            endpoint: None,
            ca_file: None,
            near: None,
            observer: None,
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("max_requests", &self.max_requests)
            .field("upload_rate", &self.upload_rate)
            .field("download_rate", &self.download_rate)
            .field("create_if_absent", &self.create_if_absent)
            .field("credentials", &self.credentials)
            .field("azure", &self.azure)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("ca_file", &self.ca_file)
            .field("near", &self.near)
            .finish_non_exhaustive()
    }
}

/// Trying again after temporary failures: the delay doubles from `first_delay` to `max_delay`
/// and is jittered by up to once its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 never retries.
    pub attempts: u32,
    /// The shortest delay.
    pub first_delay: Duration,
    /// The longest delay before jitter.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(15),
        }
    }
}

/// Whether a store refuses to create what exists: to be found out, or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateIfAbsent {
    /// Opening the store tries it, with about ten small requests and one object that is
    /// deleted again where deleting is allowed. For `init`.
    Probe,
    /// It was found out before (a repository remembers it); opening sends nothing.
    Known(bool),
}

/// Keys for object storage.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id; not secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token of temporary keys.
    pub session_token: Option<Secret>,
}

/// What opens an Azure storage account.
#[derive(Clone, Debug, Default)]
pub struct AzureCredentials {
    /// The account, where the URL names none.
    pub account: Option<String>,
    /// The account's key.
    pub key: Option<Secret>,
    /// A shared access signature; beats the key.
    pub sas_token: Option<Secret>,
}
