//! Roles, memberships and tablespaces of the whole server, written by pg_dumpall.

use backup_core::port::{Observer, PartSink};
use backup_core::{Finding, Result};

use super::stream;
use crate::logical::names::GLOBALS;
use crate::tools::{Run, Tool};
use crate::{Client, ConnectOptions};

/// The last line pg_dumpall writes.
const END: &str = "-- PostgreSQL database cluster dump complete";

/// Writes the part. Where the role may not read password hashes they are left out, and where
/// nothing can be read there is no part; both are findings.
pub(super) async fn write(
    client: &mut Client,
    tool: &Tool,
    options: &ConnectOptions,
    sink: &dyn PartSink,
    observer: &dyn Observer,
) -> Result<Vec<Finding>> {
    let with_passwords = may_read_passwords(client).await?;
    let run = Run::new(tool, options)
        .arg("--globals-only")
        .arg("--no-password")
        .database("--database", options)
        .arg_if(!with_passwords, "--no-role-passwords");
    let finished = run.finish("dump globals").await?;
    let text = finished.stdout;
    if !finished.status.success() || !is_complete(&text) {
        let reason = finished.messages.failure();
        return Ok(vec![Finding::warning(format!(
            "roles and tablespaces of the server could not be read and are not in the snapshot: \
             {reason}"
        ))]);
    }
    let passwords = if with_passwords { "included" } else { "left out" };
    let attributes = stream::attributes([
        ("format", "SQL".to_owned()),
        ("tool", tool.version.clone()),
        ("role_passwords", passwords.to_owned()),
    ]);
    stream::write(sink, observer, GLOBALS, &text, attributes).await?;
    if with_passwords {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::note(
        "password hashes of roles are not in the snapshot: only a superuser may read them; set \
         new passwords after restoring on another server",
    )])
}

fn is_complete(text: &[u8]) -> bool {
    let tail = text.get(text.len().saturating_sub(4096)..).unwrap_or_default();
    String::from_utf8_lossy(tail).contains(END)
}

async fn may_read_passwords(client: &mut Client) -> Result<bool> {
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may";
    let rows = client.query(sql).await?;
    Ok(rows.first().and_then(|row| row.by_name("may")) == Some("t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_dump_is_complete() {
        assert!(is_complete(
            b"CREATE ROLE a;\n\n--\n-- PostgreSQL database cluster dump complete\n--\n\n"
        ));
        assert!(!is_complete(b"CREATE ROLE a;\n"));
        assert!(!is_complete(b""));
    }
}
