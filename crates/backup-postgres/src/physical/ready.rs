//! Are physical backups possible? If not, which statement or line is missing.

use backup_core::{Finding, Result};

use crate::replication::Replication;
use crate::{Client, ConnectOptions, quote_ident};

/// Asks the server, and tries what cannot be asked.
///
/// # Errors
/// A failing query; a refused replication login is a finding.
pub(crate) async fn readiness(connect: &ConnectOptions, client: &mut Client) -> Result<Finding> {
    let sql = "SELECT rolsuper OR rolreplication AS replication, rolname, \
         pg_catalog.current_setting('wal_level') AS wal_level, \
         pg_catalog.current_setting('max_wal_senders')::int AS senders \
         FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let rows = client.query(sql).await?;
    let asked = rows.first().map(|row| Asked {
        role: row.by_name("rolname").unwrap_or_default().to_owned(),
        may_replicate: row.by_name("replication") == Some("t"),
        wal_level: row.by_name("wal_level").unwrap_or_default().to_owned(),
        senders: row.by_name("senders").and_then(|n| n.parse().ok()).unwrap_or_default(),
    });
    let asked = asked.unwrap_or_default();
    if let Some(missing) = asked.missing() {
        return Ok(Finding::note(format!("logical backups only, as it is: {missing}")));
    }
    // What pg_hba.conf says can only be tried.
    Ok(match Replication::connect(connect).await {
        Ok(session) => {
            session.close().await;
            Finding::note(format!(
                "physical backups and recovery to a point in time are possible (wal_level {})",
                asked.wal_level
            ))
        }
        Err(error) => Finding::note(format!(
            "logical backups only, as it is: {error}. {}",
            error.remedy().unwrap_or_default()
        )),
    })
}

/// What the server said.
#[derive(Debug, Default)]
struct Asked {
    role: String,
    may_replicate: bool,
    wal_level: String,
    senders: u32,
}

impl Asked {
    /// Returns what stands in the way of physical backups, with the remedy.
    fn missing(&self) -> Option<String> {
        if !self.may_replicate {
            let role = quote_ident(&self.role);
            return Some(format!(
                "the role may not replicate; run: ALTER ROLE {role} REPLICATION;"
            ));
        }
        if self.wal_level == "minimal" {
            return Some(
                "wal_level is minimal; run: ALTER SYSTEM SET wal_level = replica; and restart the \
                 server"
                    .to_owned(),
            );
        }
        // One sends the copy, one keeps the WAL.
        (self.senders < 2).then(|| {
            format!(
                "max_wal_senders is {}; run: ALTER SYSTEM SET max_wal_senders = 10; and restart the \
                 server",
                self.senders
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_has_its_statement() {
        let good = || Asked {
            role: "ba\"ck".to_owned(),
            may_replicate: true,
            wal_level: "replica".to_owned(),
            senders: 2,
        };
        assert_eq!(good().missing(), None);
        for (asked, remedy) in [
            (Asked { may_replicate: false, ..good() }, "ALTER ROLE \"ba\"\"ck\" REPLICATION;"),
            (Asked { wal_level: "minimal".to_owned(), ..good() }, "SET wal_level = replica"),
            (Asked { senders: 1, ..good() }, "SET max_wal_senders = 10"),
        ] {
            assert!(asked.missing().unwrap().contains(remedy), "{asked:?}");
        }
    }
}
