//! A provider in under 200 lines, to copy from: a PostgreSQL server that copies databases.
//!
//! **What it is.** [`Copying`] is a complete [`Platform`]: provider snapshots are databases that
//! nobody may connect to, copies are databases made from them or from the source with `CREATE
//! DATABASE … TEMPLATE`. It works, for a server whose source database is at rest while it is copied.
//! `tests/conformance.rs` holds it to the port's contract; so should yours.
//!
//! **How to write another.** Declare what the vendor can do ([`Platform::capabilities`]); make
//! `begin` start one thing of a name, or adopt the one that is there; let `poll` look once. Waiting,
//! resuming after a crash, expiry, sweeping, retention, freeze–dump–drop and drills come with
//! `backup_ops::managed`, for every platform alike. A vendor with an HTTP API calls it through
//! `backup_http::Api`; `backup-provider-neon` shows how.

use async_trait::async_trait;
use backup_core::port::{
    Ability, CopyFrom, Done, Endpoint, EndpointKind, Handle, Intent, NativeSnapshot, NativeState,
    Platform, PlatformFacts, Progress, TemporaryCopy,
};
use backup_core::{Error, ErrorKind, Finding, OwnedName, Result, Secret};
use backup_postgres::{Client, ConnectOptions, quote_ident, quote_literal};
use jiff::Timestamp;

/// What the comment on a database that we made begins with; the time follows.
const MARK: &str = "made by the example provider at ";

/// One database of a server that copies databases.
#[derive(Clone, Debug)]
pub struct Copying {
    connect: ConnectOptions,
    url: Secret,
}

impl Copying {
    /// Takes the source's URL; its role must be allowed to create databases.
    pub fn new(url: Secret) -> Result<Self> {
        Ok(Self { connect: ConnectOptions::parse(url.expose())?, url })
    }

    /// Runs one statement on the server, beside every database that is copied.
    async fn ask(&self, sql: &str) -> Result<Vec<(String, Timestamp, bool)>> {
        let mut client = Client::connect(&self.connect.clone().with_database("postgres")).await?;
        let rows = client.query(sql).await;
        client.close().await;
        let read = |row: &backup_postgres::Row| {
            let made = row.get(1)?.strip_prefix(MARK)?.parse().ok()?;
            Some((row.get(0)?.to_owned(), made, row.get(2) == Some("t")))
        };
        Ok(rows?.iter().filter_map(read).collect())
    }

    /// Lists what we made: snapshots, or copies.
    async fn made(&self, snapshots: bool) -> Result<Vec<(String, Timestamp)>> {
        let all = self.ask(
            "SELECT datname, pg_catalog.shobj_description(oid, 'pg_database'), NOT datallowconn \
             FROM pg_catalog.pg_database",
        );
        let of_kind = all.await?.into_iter().filter(|(.., closed)| *closed == snapshots);
        let mut found: Vec<_> = of_kind.map(|(name, at, _)| (name, at)).collect();
        found.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        Ok(found)
    }

    /// Makes a database of that name, unless it is there.
    async fn copy(&self, name: &str, from: &str, closed: bool) -> Result<()> {
        if self.made(closed).await?.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let (name, from) = (quote_ident(name), quote_ident(from));
        self.ask(&format!("CREATE DATABASE {name} TEMPLATE {from} ALLOW_CONNECTIONS {}", !closed))
            .await?;
        let now = quote_literal(&format!("{MARK}{}", Timestamp::now()));
        self.ask(&format!("COMMENT ON DATABASE {name} IS {now}")).await?;
        Ok(())
    }

    /// Drops a database that we made; one that is gone is dropped.
    async fn drop(&self, name: &str) -> Result<()> {
        if OwnedName::parse(name).is_none() {
            return Err(Error::new(ErrorKind::Conflict, "drop database")
                .with("database", name)
                .because("it is not one that we made"));
        }
        self.ask(&format!("DROP DATABASE IF EXISTS {}", quote_ident(name))).await.map(|_| ())
    }
}

#[async_trait]
impl Platform for Copying {
    fn name(&self) -> &'static str {
        "example"
    }

    fn capabilities(&self) -> &'static [Ability] {
        &[
            Ability::ListSnapshots,
            Ability::CreateSnapshot,
            Ability::DeleteSnapshot,
            Ability::CopyNow,
            Ability::CopySnapshot,
            Ability::DropCopy,
        ]
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        let location = self.connect.location();
        let finding = Finding::note("snapshots on this server die with it");
        Ok(PlatformFacts {
            system: format!("example:{location}"),
            location,
            findings: vec![finding],
            ..PlatformFacts::default()
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        Ok(endpoint(self.url.clone()))
    }

    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        let (server, query) = self.url.expose().split_once('?').unwrap_or((self.url.expose(), ""));
        let server = server.rsplit_once('/').map_or(server, |(server, _)| server);
        Ok(endpoint(Secret::new(format!("{server}/{copy}?{query}"))))
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let snapshot = |(name, created_at): (String, Timestamp)| NativeSnapshot {
            id: name.clone(),
            name,
            created_at,
            expires_at: None,
            state: NativeState::Ready,
            bytes: None,
            protected: false,
            automatic: false,
        };
        Ok(self.made(true).await?.into_iter().map(snapshot).collect())
    }

    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let copy = |(name, created_at): (String, Timestamp)| TemporaryCopy {
            id: name.clone(),
            name,
            created_at,
            expires_at: None,
            costs: false,
        };
        let all = self.made(false).await?.into_iter().map(copy);
        Ok(all.filter(|copy| copy.name.starts_with(prefix)).collect())
    }

    /// Everything here is done when this returns: there is nothing to wait for.
    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        let source = self.connect.database();
        let made = match intent {
            Intent::CreateSnapshot { name, .. } => {
                self.copy(name, source, true).await?;
                name
            }
            Intent::Copy { name, from: CopyFrom::Now, .. } => {
                self.copy(name, source, false).await?;
                name
            }
            Intent::Copy { name, from: CopyFrom::Snapshot(id), .. } => {
                self.copy(name, id, false).await?;
                name
            }
            Intent::DeleteSnapshot { id } | Intent::DropCopy { id } => {
                self.drop(id).await?;
                id
            }
            Intent::Copy { .. }
            | Intent::ProtectSnapshot { .. }
            | Intent::RestoreInPlace { .. } => {
                return Err(self.unsupported(intent.verb()));
            }
        };
        let handle = Handle::intended(self.name(), intent.clone(), Timestamp::now());
        Ok(handle.begun(Vec::new(), Some(made.clone())))
    }

    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        Ok(Progress::Done(Done { id: handle.made.clone(), notes: Vec::new() }))
    }
}

fn endpoint(url: Secret) -> Endpoint {
    let (kind, findings) = (EndpointKind::Direct, Vec::new());
    Endpoint { url, kind, credential: None, expires_at: None, findings }
}
