//! Settings of the sessions that read and write.

use backup_core::Result;

use crate::Client;

/// Begins a transaction that sees one instant and may only read, with settings under which
/// values are written exactly. Nothing here takes the snapshot yet. The settings end with the
/// transaction, so that they also hold behind a pooler.
pub(crate) async fn begin_reading(client: &mut Client, lock_wait_ms: u128) -> Result<()> {
    client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut settings = vec![
        ("row_security", "off".to_owned()),
        ("statement_timeout", "0".to_owned()),
        ("lock_timeout", lock_wait_ms.to_string()),
        ("idle_in_transaction_session_timeout", "0".to_owned()),
        ("extra_float_digits", "3".to_owned()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("IntervalStyle", "postgres".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("bytea_output", "hex".to_owned()),
        ("xmloption", "content".to_owned()),
        ("search_path", String::new()),
        // Rows in the order of the heap, every time.
        ("synchronize_seqscans", "off".to_owned()),
        ("max_parallel_workers_per_gather", "0".to_owned()),
        ("jit", "off".to_owned()),
    ];
    if client.server_version_num() >= 170_000 {
        settings.push(("transaction_timeout", "0".to_owned()));
    }
    client.execute(&set("SET LOCAL", &settings)).await?;
    Ok(())
}

/// Prepares a session that loads rows: the counterpart of [`begin_reading`].
pub(crate) async fn prepare_writing(client: &mut Client) -> Result<()> {
    let mut settings = vec![
        ("row_security", "off".to_owned()),
        ("statement_timeout", "0".to_owned()),
        ("lock_timeout", "0".to_owned()),
        ("idle_in_transaction_session_timeout", "0".to_owned()),
        ("default_transaction_read_only", "off".to_owned()),
        ("default_transaction_isolation", "read committed".to_owned()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("IntervalStyle", "postgres".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("xmloption", "content".to_owned()),
        ("check_function_bodies", "off".to_owned()),
        ("search_path", String::new()),
        // The restore as a whole is durable or failed; single loads need not wait for the disk.
        ("synchronous_commit", "off".to_owned()),
    ];
    if client.server_version_num() >= 170_000 {
        settings.push(("transaction_timeout", "0".to_owned()));
    }
    client.execute(&set("SET", &settings)).await?;
    Ok(())
}

fn set(verb: &str, settings: &[(&str, String)]) -> String {
    let each: Vec<String> =
        settings.iter().map(|(name, value)| format!("{verb} {name} = '{value}'")).collect();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use super::set;

    #[test]
    fn settings_are_one_statement_each() {
        let sql = set("SET LOCAL", &[("a", "1".into()), ("search_path", String::new())]);
        assert_eq!(sql, "SET LOCAL a = '1'; SET LOCAL search_path = ''");
    }
}
