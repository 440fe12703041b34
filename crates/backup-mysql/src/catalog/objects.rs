//! How many there are of each kind of object.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::{Client, quote_text};

/// Counts, without these tables and what belongs to them; kinds of which there are none are left
/// out.
pub(crate) async fn count(
    client: &mut Client,
    database: &str,
    without: &[String],
) -> Result<BTreeMap<String, u64>> {
    let name = quote_text(database);
    let names: Vec<String> = without.iter().map(|table| quote_text(table)).collect();
    let but = match names.as_slice() {
        [] => String::new(),
        names => format!(" AND TABLE_NAME NOT IN ({})", names.join(", ")),
    };
    let questions = [
        format!(
            "SELECT CASE TABLE_TYPE WHEN 'VIEW' THEN 'view' WHEN 'SEQUENCE' THEN 'sequence' \
             ELSE 'table' END, COUNT(*) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {name}{but} GROUP BY 1"
        ),
        format!(
            "SELECT 'index', COUNT(DISTINCT TABLE_NAME, INDEX_NAME) \
             FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {name}{but}"
        ),
        format!(
            "SELECT 'column', COUNT(*) FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {name}{but}"
        ),
        format!(
            "SELECT 'constraint', COUNT(*) FROM information_schema.TABLE_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = {name}{but}"
        ),
        format!(
            "SELECT LOWER(ROUTINE_TYPE), COUNT(*) FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA = {name} GROUP BY 1"
        ),
        format!(
            "SELECT 'trigger', COUNT(*) FROM information_schema.TRIGGERS \
             WHERE TRIGGER_SCHEMA = {name}"
        ),
        format!(
            "SELECT 'event', COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name}"
        ),
    ];
    let mut pairs = Vec::new();
    for question in questions {
        let rows = client.query(&question).await?;
        pairs.extend(rows.iter().map(|row| (row.text(0), row.number::<u64>(1).unwrap_or(0))));
    }
    let pairs = pairs.into_iter();
    Ok(pairs.filter(|(_, count)| *count > 0).collect())
}
