//! Running one of PostgreSQL's programs.

use std::ffi::{OsStr, OsString};
use std::process::{ExitStatus, Stdio};

use backup_core::{Error, ErrorKind, Result};
use tokio::process::Command;

use super::{Messages, Tool};
use crate::ConnectOptions;

/// One call of a program. The child is killed when the future is dropped; where to connect
/// goes through the environment, so that no secret is in the list of processes.
pub(crate) struct Run<'a> {
    tool: &'a Tool,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

/// What a program did.
pub(crate) struct Finished {
    /// What it wrote on standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it said on standard error.
    pub(crate) messages: Messages,
    /// How it ended.
    pub(crate) status: ExitStatus,
}

impl<'a> Run<'a> {
    /// Prepares a call of `tool` that connects as `options` say.
    pub(crate) fn new(tool: &'a Tool, options: &ConnectOptions) -> Self {
        Self { tool, arguments: Vec::new(), environment: options.libpq_env(tool.major) }
    }

    /// Prepares a call of `tool` that connects nowhere.
    pub(crate) fn offline(tool: &'a Tool) -> Self {
        Self { tool, arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds an option that names the database to connect to. Given by its bare name, a database
    /// that looks like a connection string would be taken for one.
    pub(crate) fn database(self, option: &str, options: &ConnectOptions) -> Self {
        let value = connection_string(options.database());
        self.arg(format!("{option}={value}"))
    }

    /// Adds an argument when `condition` holds.
    pub(crate) fn arg_if(self, condition: bool, argument: &str) -> Self {
        if condition { self.arg(argument) } else { self }
    }

    /// Runs to the end; an exit code other than zero is an error with what the program said.
    pub(crate) async fn output(self, operation: &str) -> Result<Finished> {
        let finished = self.finish(operation).await?;
        if finished.status.success() { Ok(finished) } else { Err(finished.failure(operation)) }
    }

    /// Runs to the end, whatever the exit code.
    pub(crate) async fn finish(self, operation: &str) -> Result<Finished> {
        let mut command = Command::new(&self.tool.path);
        // Variables meant for the person's own programs must not redirect ours.
        for name in ConnectOptions::libpq_env_removed() {
            command.env_remove(name);
        }
        let output = command
            .args(&self.arguments)
            .envs(self.environment)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Failed, operation)
                    .with("program", self.tool.path.display())
                    .because(error)
            })?;
        Ok(Finished {
            stdout: output.stdout,
            messages: Messages::parse(&String::from_utf8_lossy(&output.stderr)),
            status: output.status,
        })
    }
}

impl Finished {
    /// Turns a failed call into an error; a lock that could not be had is temporary.
    pub(crate) fn failure(&self, operation: &str) -> Error {
        let text = self.messages.failure();
        let error = Error::new(kind_of(&text), operation).with("exit", self.status);
        let error = match hint_of(&text) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        let error = if is_lock_timeout(&text) { error.temporary() } else { error };
        error.because(text)
    }
}

fn connection_string(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn kind_of(text: &str) -> ErrorKind {
    let refused = [
        "connection to server",
        "password authentication failed",
        "permission denied",
        // It was there, and is no more.
        "closed the connection unexpectedly",
        "terminating connection",
        "could not receive data from server",
        "no connection to the server",
    ];
    if refused.iter().any(|sign| text.contains(sign)) {
        ErrorKind::SourceUnavailable
    } else {
        ErrorKind::Failed
    }
}

/// pg_dump bounds its LOCK statements with a statement timeout.
fn is_lock_timeout(text: &str) -> bool {
    let signs = ["lock timeout", "could not obtain lock", "deadlock detected"];
    signs.iter().any(|sign| text.contains(sign))
        || (text.contains("statement timeout") && text.contains("LOCK TABLE"))
}

fn hint_of(text: &str) -> Option<&'static str> {
    if text.contains("server version mismatch") {
        return Some("Install client programs of the server's major version or newer.");
    }
    if text.contains("permission denied") {
        return Some("Grant the backup role read access (pg_read_all_data), or use the owner.");
    }
    if text.contains("max_locks_per_transaction") {
        return Some("Raise max_locks_per_transaction on the server; it needs a restart.");
    }
    if is_lock_timeout(text) {
        return Some("Someone holds a conflicting lock (ALTER, TRUNCATE, DROP); try again later.");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_database_names_stay_names() {
        assert_eq!(connection_string("a'b\\c = d"), "dbname='a\\'b\\\\c = d'");
    }

    #[test]
    fn only_locks_are_worth_another_try() {
        assert!(is_lock_timeout("ERROR:  canceling statement due to lock timeout"));
        assert!(is_lock_timeout(
            "ERROR:  canceling statement due to statement timeout Query was: LOCK TABLE public.t"
        ));
        assert!(!is_lock_timeout("ERROR:  permission denied for table t"));
        assert_eq!(kind_of("ERROR:  permission denied for table t"), ErrorKind::SourceUnavailable);
        let died = "query failed: server closed the connection unexpectedly";
        assert_eq!(kind_of(died), ErrorKind::SourceUnavailable);
        assert_eq!(kind_of("ERROR:  relation t does not exist"), ErrorKind::Failed);
    }
}
