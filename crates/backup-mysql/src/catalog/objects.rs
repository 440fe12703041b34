//! How many there are of each kind of object.

use std::collections::BTreeMap;

use backup_core::Result;

use crate::{Client, quote_text};

/// Counts; kinds of which there are none are left out.
pub(crate) async fn count(client: &mut Client, database: &str) -> Result<BTreeMap<String, u64>> {
    let name = quote_text(database);
    let sql = format!(
        "SELECT CASE TABLE_TYPE WHEN 'VIEW' THEN 'view' WHEN 'SEQUENCE' THEN 'sequence' \
           ELSE 'table' END, COUNT(*) FROM information_schema.TABLES \
           WHERE TABLE_SCHEMA = {name} GROUP BY 1 \
         UNION ALL SELECT 'index', COUNT(DISTINCT TABLE_NAME, INDEX_NAME) \
           FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {name} \
         UNION ALL SELECT 'column', COUNT(*) FROM information_schema.COLUMNS \
           WHERE TABLE_SCHEMA = {name} \
         UNION ALL SELECT 'constraint', COUNT(*) FROM information_schema.TABLE_CONSTRAINTS \
           WHERE CONSTRAINT_SCHEMA = {name} \
         UNION ALL SELECT LOWER(ROUTINE_TYPE), COUNT(*) FROM information_schema.ROUTINES \
           WHERE ROUTINE_SCHEMA = {name} GROUP BY 1 \
         UNION ALL SELECT 'trigger', COUNT(*) FROM information_schema.TRIGGERS \
           WHERE TRIGGER_SCHEMA = {name} \
         UNION ALL SELECT 'event', COUNT(*) FROM information_schema.EVENTS \
           WHERE EVENT_SCHEMA = {name}"
    );
    let rows = client.query(&sql).await?;
    let pairs = rows.iter().map(|row| (row.text(0), row.number::<u64>(1).unwrap_or(0)));
    Ok(pairs.filter(|(_, count)| *count > 0).collect())
}
