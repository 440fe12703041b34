//! Creating and opening a repository.

use std::sync::Arc;

use backup_core::port::{Clock, Store};
use backup_core::{Error, ErrorKind, KeyId, RepositoryId, Result};
use backup_crypto::{KeyBundle, KeyRecord, KeySecret};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, TryStreamExt};

use crate::config::{CONFIG_DOMAIN, Config};
use crate::cut::StreamCut;
use crate::repository::{PARALLEL, Repository};
use crate::settings::Settings;
use crate::signed::{from_root_signed, to_root_signed};
use crate::{blocking, layout, random};

/// A key to add: what its holder knows, and what to call it.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Passphrase or key file.
    pub secret: KeySecret,
    /// A name for people: "passphrase", "recovery sheet 2026-11".
    pub label: String,
}

impl Repository {
    /// Creates a repository that every one of `keys` opens.
    ///
    /// Fails with `Conflict` when one exists there, and with `Usage` when there are no keys. The
    /// config object is written last: a creation that was interrupted can be repeated.
    pub async fn init(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: Vec<NewKey>,
        settings: Settings,
    ) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "create repository")
                .hint("Give a passphrase (BACKUP_PASSPHRASE) or a key file."));
        }
        match store.stat(&layout::config()?).await {
            Ok(_) => {
                return Err(Error::new(ErrorKind::Conflict, "create repository")
                    .with("location", store.location())
                    .hint("A repository exists there already; use it, or choose another place."));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let id = RepositoryId(random::bytes()?);
        let bundle = KeyBundle::generate(id)?;
        let config = Config {
            repository: id,
            created_at: clock.now(),
            root: HEXLOWER.encode(&bundle.root_public()),
            stream_cut: StreamCut::default(),
        };
        let repository = Self::assemble(store, clock, config, bundle, None, settings);
        for key in keys {
            repository.seal_key(key).await?;
        }
        let signed =
            to_root_signed(&*repository.keys_now()?, CONFIG_DOMAIN, &repository.inner.config)?;
        repository.store().create(&layout::config()?, signed.into()).await?;
        Ok(repository)
    }

    /// Opens the repository with one of its keys.
    ///
    /// Fails with `StoreUnavailable` when none is there, `WrongKey` when the secret opens none
    /// of its keys, `Unsupported` when a newer version wrote it, `Integrity` when it is damaged
    /// or not one of ours.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        secret: &KeySecret,
        settings: Settings,
    ) -> Result<Self> {
        let location = store.location();
        let bytes = Self::read_config(&store).await?;
        let claimed = from_root_signed::<Config>(&bytes)
            .map_err(|error| error.with("location", &location))?;
        let records = read_records(&store).await?;
        let (bundle, opened_with) = unlock(records, secret, claimed.unchecked().repository).await?;
        let config = claimed
            .check(CONFIG_DOMAIN, &bundle.root_public())
            .map_err(|error| error.with("object", layout::CONFIG))?;
        let same = config.repository == bundle.repository()
            && config.root == HEXLOWER.encode(&bundle.root_public());
        if !same {
            return Err(Error::new(ErrorKind::Integrity, "open repository")
                .with("location", location)
                .hint("Its config and its keys belong to different repositories."));
        }
        config.stream_cut.check()?;
        Ok(Self::assemble(store, clock, config, bundle, Some(opened_with), settings))
    }
}

impl Repository {
    /// Opens the repository with keys that are in hand already, and its `config` object as it
    /// was just read: nothing is fetched. `Integrity` unless that config belongs to those keys.
    pub fn with_keys(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        config: &[u8],
        keys: KeyBundle,
        settings: Settings,
    ) -> Result<Self> {
        let config = from_root_signed::<Config>(config)?
            .check(CONFIG_DOMAIN, &keys.root_public())
            .map_err(|error| error.with("object", layout::CONFIG))?;
        if config.repository != keys.repository() {
            return Err(Error::new(ErrorKind::Integrity, "open repository")
                .with("location", store.location())
                .hint("Its config and these keys belong to different repositories."));
        }
        config.stream_cut.check()?;
        Ok(Self::assemble(store, clock, config, keys, None, settings))
    }

    /// Reads the `config` object at a place, to be checked by whoever opens it;
    /// `StoreUnavailable` when none is there.
    pub async fn read_config(store: &Arc<dyn Store>) -> Result<Bytes> {
        store.get(&layout::config()?).await.map_err(|error| {
            if error.kind() != ErrorKind::NotFound {
                return error;
            }
            Error::new(ErrorKind::StoreUnavailable, "open repository")
                .with("location", store.location())
                .hint("No repository is there. Check the URL, or run `backupctl init`.")
                .because(error)
        })
    }

    /// Returns whether the repository that lies at its place is still this one: another may have been
    /// mounted there, or made. `StoreUnavailable` when none is there.
    pub async fn is_there(&self) -> Result<bool> {
        let bytes = Self::read_config(self.store()).await?;
        let root = self.keys_now()?.root_public();
        let found = from_root_signed::<Config>(&bytes)
            .and_then(|claimed| claimed.check(CONFIG_DOMAIN, &root));
        Ok(found.is_ok_and(|config| config == self.inner.config))
    }

    /// Returns the keys that this host needs to add objects, and nothing that opens any.
    pub fn writing_keys(&self) -> Result<KeyBundle> {
        let keys = self.keys_now()?;
        if keys.is_owner() { keys.writer() } else { Ok((*keys).clone()) }
    }
}

/// Reads every key record, newest epoch first; those that are damaged are left out with a warning, because one
/// good record is enough.
pub(crate) async fn read_records(store: &Arc<dyn Store>) -> Result<Vec<KeyRecord>> {
    let objects: Vec<_> = store.list(layout::KEYS).await?.try_collect().await?;
    let read: Vec<Option<KeyRecord>> = futures::stream::iter(objects.into_iter().map(|object| {
        let store = Arc::clone(store);
        async move {
            let bytes = match store.get(&object.name).await {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            match KeyRecord::from_bytes(&bytes) {
                Ok(record) if layout::key(record.id, record.epoch)? == object.name => {
                    Ok(Some(record))
                }
                Ok(_) => {
                    tracing::warn!(object = %object.name, "a key record lies under another's name");
                    Ok(None)
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => Err(error),
                Err(error) => {
                    tracing::warn!(object = %object.name, %error, "a key record is unreadable");
                    Ok(None)
                }
            }
        }
    }))
    .buffered(PARALLEL)
    .try_collect()
    .await?;
    let mut records: Vec<KeyRecord> = read.into_iter().flatten().collect();
    records.sort_by_key(|record| std::cmp::Reverse((record.epoch, record.created_at)));
    Ok(records)
}

/// Opens the first record that the secret fits. Deriving a key from a passphrase takes a tenth
/// of a second and 64 MiB, so it is done off the async threads, one at a time.
async fn unlock(
    records: Vec<KeyRecord>,
    secret: &KeySecret,
    repository: RepositoryId,
) -> Result<(KeyBundle, KeyId)> {
    let secret = secret.clone();
    blocking(move || {
        let mut damage = None;
        for record in records.iter().filter(|record| record.repository == repository) {
            match record.open(&secret) {
                Ok(bundle) => return Ok((bundle, record.id)),
                Err(error) if error.kind() == ErrorKind::WrongKey => {}
                Err(error) => {
                    damage.get_or_insert(error);
                }
            }
        }
        let wrong = Error::new(ErrorKind::WrongKey, "open repository")
            .with("keys tried", records.len())
            .hint(
                "The passphrase or key file opens none of the repository's keys. Check for \
                 typos; the recovery sheet opens it too.",
            );
        Err(match damage {
            Some(error) if error.kind() == ErrorKind::ConfigInvalid => error,
            Some(error) => error.with("repository", repository),
            None => wrong,
        })
    })
    .await
}
