//! What of a project no copy of its database covers, counted.

use backup_core::{ByteSize, Finding, Result};
use backup_postgres::{Client, ConnectOptions, sqlstate};

/// Looks at what lies beside the database, or cannot be read out of it: files of Storage, secrets
/// of Vault. Changes nothing.
pub(crate) async fn uncovered(connect: &ConnectOptions) -> Result<Vec<Finding>> {
    let mut client = Client::connect(connect).await?;
    let files = ask(&mut client, FILES).await?;
    let secrets = ask(&mut client, SECRETS).await?;
    client.close().await;
    Ok(storage(files.as_deref()).into_iter().chain(vault(secrets.as_deref())).collect())
}

fn storage(row: Option<&[String]>) -> Option<Finding> {
    let [files, bytes] = row? else { return None };
    let bytes = ByteSize(bytes.parse().unwrap_or(0));
    (files != "0").then(|| {
        Finding::warning(format!(
            "the {files} files in Storage ({bytes}) are not covered: their names and metadata are \
             in the snapshot, what is in them lies beside the database. Copy their bucket as a \
             source of its own"
        ))
    })
}

fn vault(row: Option<&[String]>) -> Option<Finding> {
    let [secrets] = row? else { return None };
    (secrets != "0").then(|| {
        Finding::warning(format!(
            "the {secrets} secrets in Vault are not covered: only this project's own key opens \
             them. Keep them elsewhere too, and put them in again after a restore"
        ))
    })
}

/// Asks; nothing where there is no such table, or it may not be read.
async fn ask(client: &mut Client, sql: &str) -> Result<Option<Vec<String>>> {
    match client.query(sql).await {
        Ok(rows) => Ok(rows
            .first()
            .map(|row| (0..).map_while(|at| row.get(at)).map(str::to_owned).collect())),
        Err(error) if matches!(sqlstate(&error), Some("42P01" | "3F000" | "42501" | "42703")) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

const FILES: &str = "\
SELECT count(*)::text, coalesce(sum((metadata ->> 'size')::numeric), 0)::bigint::text \
FROM storage.objects";

const SECRETS: &str = "SELECT count(*)::text FROM vault.secrets";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_is_there_is_missed() {
        let found = storage(Some(&row(&["3", "4096"]))).unwrap();
        assert!(found.message.starts_with("the 3 files in Storage (4"), "{}", found.message);
        assert_eq!(storage(Some(&row(&["0", "0"]))), None);
        assert_eq!(storage(None), None);
        assert!(vault(Some(&row(&["2"]))).unwrap().message.contains("2 secrets"));
        assert_eq!(vault(Some(&row(&["0"]))), None);
    }
}
