//! Where a snapshot is restored to be questioned, and thrown away.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Observer, PartSource, RestoreReport};
use crate::{Error, ErrorKind, Evidence, Finding, Result, Secret, Snapshot, TreeEvidence};

/// Makes throw-away places for drills: a server started here, a database on a given server, a
/// vendor's branch.
///
/// Contract: what it makes carries a name by which leftovers are recognised, is reachable by
/// nobody who could not reach the source, and never is, or touches, a database that was there
/// before. An error whose kind is `Integrity` or `Failed` blames the snapshot; every other kind
/// blames the place, and its hint is the remedy.
#[async_trait]
pub trait DrillTarget: Send + Sync {
    /// Returns what places it makes, for people, without secrets.
    fn describe(&self) -> String;

    /// Removes what earlier drills that did not end left behind, and says what became of it, a
    /// warning where something stays. Places of drills that may still run stay.
    async fn sweep(&self) -> Result<Vec<Finding>>;

    /// Makes a place that can take this snapshot; dropped before it returns, it makes none.
    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>>;
}

/// How a place is filled and read.
#[derive(Clone)]
pub struct DrillOptions {
    /// Parallel writers, and readers.
    pub jobs: NonZeroUsize,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// A throw-away place. [`Scratch::remove`] says whether it is gone; dropping it instead removes
/// what can be removed without waiting.
#[async_trait]
pub trait Scratch: Send {
    /// Returns where it is, for people, without secrets.
    fn location(&self) -> String;

    /// Returns the version of its server, as it prints it.
    fn server_version(&self) -> String;

    /// Returns what a program needs to connect to the restored database; may hold a password.
    fn url(&self) -> Secret;

    /// Restores the snapshot, every part of it.
    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport>;

    /// Asks the restored database for its own evidence, and compares its schema with the stored
    /// one; changes nothing.
    async fn examine(
        &mut self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
    ) -> Result<Restored>;

    /// Checks the structure of indexes, where the server can.
    async fn check_indexes(&mut self) -> Result<IndexCheck>;

    /// Returns the first value of the first row that a statement returns; nothing for NULL or
    /// no row. The statement is a person's: its failure is no error of the snapshot by itself.
    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>>;

    /// Hands every value of the one column that a statement returns to `values`, some at a time,
    /// without holding them all. The statement is a person's; more columns are `Usage`, no answer
    /// within `limit`, not counting what `values` takes, is `Failed`.
    async fn ask_column(
        &mut self,
        sql: &str,
        limit: Duration,
        values: &mut dyn ColumnSink,
    ) -> Result<()> {
        let _ = (sql, limit, values);
        Err(Error::new(ErrorKind::Unsupported, "ask for a column"))
    }

    /// Returns whether somebody pays for it for as long as it is there.
    fn is_billed(&self) -> bool {
        false
    }

    /// Removes the place with everything in it.
    async fn remove(self: Box<Self>) -> Result<()>;
}

/// Takes the values of a column.
#[async_trait]
pub trait ColumnSink: Send {
    /// Takes the next ones, in the order of the rows; nothing for NULL.
    async fn take(&mut self, values: Vec<Option<Vec<u8>>>) -> Result<()>;
}

/// What files a snapshot holds.
#[async_trait]
pub trait Holdings: Send + Sync {
    /// Shows the name of each file to `visit`: its path below the root, or its key. Links and
    /// directories are not shown. Each call begins at the first; what is in memory does not grow
    /// with their number.
    async fn each_file(&self, visit: &mut (dyn for<'n> FnMut(&'n [u8]) + Send)) -> Result<()>;
}

/// What a restored database says of itself.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Its own evidence.
    pub evidence: Evidence,
    /// How its schema differs from the stored one, a phrase each.
    pub schema_differences: Vec<String>,
    /// What there is to say beyond one database, of a physical snapshot.
    pub cluster: Option<RestoredCluster>,
    /// What there is to say of a tree of files.
    pub tree: Option<RestoredTree>,
}

/// A restored tree of files next to the list it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredTree {
    /// What the list says, counted and summed up anew.
    pub listed: TreeEvidence,
    /// Entries that are in the tree.
    pub there: u64,
    /// How many entries of the list are missing in the tree, or differ there.
    pub different: u64,
    /// The first of them, a phrase each.
    pub differences: Vec<String>,
    /// Whether owners and devices were compared: only root can make them.
    pub owners: bool,
}

/// What a restored cluster says of itself. The rows that were read are in the evidence, of all
/// databases together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredCluster {
    /// Databases that were opened and read whole.
    pub databases: u64,
    /// Databases that this machine cannot open, with the reason.
    pub closed: Vec<String>,
    /// Libraries and extensions that functions or settings name.
    pub libraries: u64,
    /// Those that this machine lacks.
    pub missing_libraries: Vec<String>,
    /// Collations whose version the cluster recorded.
    pub collations: u64,
    /// Those that sort otherwise here, so that indexes may be wrong, a phrase each.
    pub other_collations: Vec<String>,
}

/// What a look into indexes found.
#[derive(Clone, Debug, Default)]
pub struct IndexCheck {
    /// Indexes whose structure was walked.
    pub checked: u64,
    /// Tables whose pages were walked, and every row of them looked for in its indexes.
    pub tables: u64,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
    /// Why nothing could be checked, where that is so.
    pub unavailable: Option<String>,
}

/// A person's own program that tries a restored database.
#[async_trait]
pub trait SmokeTest: Send + Sync {
    /// Returns what it runs, for people.
    fn describe(&self) -> String;

    /// Runs it with the database's address in its environment (never in its arguments) and
    /// returns the end of what it said. Ending otherwise than with success, or later than its
    /// limit, is `Failed`; not being there is `ConfigInvalid`.
    async fn run(&self, url: &Secret) -> Result<String>;
}
