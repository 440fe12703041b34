//! Running pg_restore.

use std::path::Path;

use backup_core::port::RestoreOptions;
use backup_core::{Error, ErrorKind, Finding, Result};

use super::schema::Files;
use crate::ConnectOptions;
use crate::tools::{Finished, Run, Tool};

/// Entries created in one transaction at most; each may hold several locks.
const ONE_TRANSACTION: usize = 2000;
/// A setting that pg_restore 17 and later makes, and older servers do not know.
const NEW_SETTING: &str = "unrecognized configuration parameter \"transaction_timeout\"";
const NEW_SETTING_SINCE: u32 = 17;

/// How pg_restore is called.
pub(super) struct Program<'a> {
    pub(super) tool: &'a Tool,
    pub(super) connect: &'a ConnectOptions,
    pub(super) options: &'a RestoreOptions,
    pub(super) no_tablespaces: bool,
    pub(super) server_major: u32,
}

impl Program<'_> {
    /// Creates what comes before the rows. With `all_or_nothing`, in one transaction where the
    /// server's lock table allows.
    pub(super) async fn before_rows(&self, files: &Files, all_or_nothing: bool) -> Result<()> {
        let one = all_or_nothing && files.entries_before <= ONE_TRANSACTION && !self.is_too_new();
        let run = self.run(&files.before_rows, one);
        self.finish(run.arg(&files.archive), "create schema").await
    }

    /// Creates what comes after the rows, in parallel.
    pub(super) async fn after_rows(&self, files: &Files) -> Result<()> {
        if !files.any_after {
            return Ok(());
        }
        let run = self.run(&files.after_rows, false);
        // Many processes write their errors into one another; the known one must be told apart.
        let jobs = if self.is_too_new() { 1 } else { self.options.jobs.get() };
        let run = run.arg(format!("--jobs={jobs}"));
        self.finish(run.arg(&files.archive), "create what comes after the rows").await
    }

    fn run(&self, list: &Path, one_transaction: bool) -> Run<'_> {
        Run::new(self.tool, self.connect)
            .arg("--format=custom")
            .database("--dbname", self.connect)
            .arg(format!("--use-list={}", list.display()))
            .arg("--no-password")
            .arg_if(self.options.no_owner, "--no-owner")
            .arg_if(self.options.no_privileges, "--no-privileges")
            .arg_if(self.no_tablespaces, "--no-tablespaces")
            .arg_if(one_transaction, "--single-transaction")
            .arg_if(!self.is_too_new(), "--exit-on-error")
    }

    /// Returns what is slower because of the program's version.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.is_too_new().then(|| {
            Finding::note(format!(
                "foreign keys and indexes of partitioned tables are created one at a time: {} is \
                 newer than the server; install the client programs of PostgreSQL {} to create \
                 them in parallel",
                self.tool.version, self.server_major
            ))
        })
    }

    /// Such a program stumbles over its own first statement on this server.
    fn is_too_new(&self) -> bool {
        self.tool.major >= NEW_SETTING_SINCE && self.server_major < NEW_SETTING_SINCE
    }

    async fn finish(&self, run: Run<'_>, operation: &str) -> Result<()> {
        let finished = run.finish(operation).await?;
        if !finished.status.success() && (!self.is_too_new() || !is_harmless(&finished)) {
            return Err(finished.failure(operation));
        }
        if finished.messages.ignored > 0 && !self.is_too_new() {
            return Err(Error::new(ErrorKind::Failed, operation)
                .with("errors ignored", finished.messages.ignored)
                .because(finished.messages.failure()));
        }
        Ok(())
    }
}

/// Whether every single error is the known one.
fn is_harmless(finished: &Finished) -> bool {
    let messages = &finished.messages;
    let known = messages.errors.iter().filter(|error| error.contains(NEW_SETTING)).count();
    known > 0
        && known == messages.errors.len()
        && u64::try_from(known).is_ok_and(|known| known == messages.ignored)
}
