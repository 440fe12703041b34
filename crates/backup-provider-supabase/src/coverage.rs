//! What of a project no copy of its database covers, counted.

use backup_core::{ByteSize, Error, Finding, Result};
use backup_postgres::{Client, ConnectOptions, sqlstate};

/// Looks at what lies beside the database, or cannot be read out of it: files of Storage, secrets
/// of Vault. Changes nothing. What cannot be counted is named: no copy fails for want of it.
pub(crate) async fn uncovered(connect: &ConnectOptions) -> Vec<Finding> {
    let mut client = match Client::connect(connect).await {
        Ok(client) => client,
        Err(error) => return vec![uncounted("files in Storage and secrets in Vault", &error)],
    };
    let mut findings = Vec::new();
    match ask(&mut client, FILES).await {
        Ok(files) => findings.extend(storage(files.as_deref())),
        Err(error) => findings.push(uncounted("files in Storage", &error)),
    }
    match ask(&mut client, SECRETS).await {
        Ok(secrets) => findings.extend(vault(secrets.as_deref())),
        Err(error) => findings.push(uncounted("secrets in Vault", &error)),
    }
    client.close().await;
    findings
}

fn uncounted(what: &str, error: &Error) -> Finding {
    Finding::warning(format!(
        "{what} could not be counted: {error}. None of them is covered by a copy of the database"
    ))
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

/// Asks; nothing where there is no such table. Settings end with the question: a pooler may give
/// the session to another.
async fn ask(client: &mut Client, sql: &str) -> Result<Option<Vec<String>>> {
    client.execute("BEGIN READ ONLY").await?;
    client.execute(PATIENCE).await?;
    let answer = client.query(sql).await;
    client.execute("ROLLBACK").await?;
    match answer {
        Ok(rows) => Ok(rows
            .first()
            .map(|row| (0..).map_while(|at| row.get(at)).map(str::to_owned).collect())),
        Err(error) if matches!(sqlstate(&error), Some("42P01" | "3F000")) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Enough to count the rows of a large table, whatever the role is given by default; a lock is not
/// waited for as long, and rows that are hidden are an error.
const PATIENCE: &str = "\
SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1min'; SET LOCAL row_security = off";

/// Whoever writes metadata may write anything there: only what is a number is added up.
const FILES: &str = "\
SELECT count(*)::text, least(coalesce(sum(CASE WHEN metadata ->> 'size' ~ '^[0-9]{1,18}$' \
THEN (metadata ->> 'size')::numeric END), 0), 9223372036854775807)::bigint::text \
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
