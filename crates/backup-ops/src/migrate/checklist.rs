//! What a person does between a migrated copy and its use: pure.

use backup_core::port::Survey;

use super::mysql;

/// One step of the cut-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecklistStep {
    /// What for.
    pub purpose: String,
    /// The command; the source's address is in `SOURCE_URL`, the target's in `TARGET_URL`.
    pub command: String,
}

/// Returns the steps of a cut-over, in order. `source` is the name that the database is backed up
/// under, `created` are the roles that were created for it.
#[must_use]
pub fn checklist(
    source: &str,
    from: &Survey,
    to: &Survey,
    created: &[String],
) -> Vec<ChecklistStep> {
    if from.engine == mysql::ENGINE {
        return mysql::checklist(source, from, to);
    }
    let database = identifier(&from.database);
    let name = literal(&from.database);
    let psql = |url: &str, sql: &str| format!("psql \"${url}\" -c {}", shell(sql));
    let step = |purpose: &str, command: String| ChecklistStep { purpose: purpose.into(), command };
    let mut steps = vec![
        step(
            "Stop writing at the source: new sessions can only read",
            psql(
                "SOURCE_URL",
                &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
            ),
        ),
        step(
            "End the sessions that are still writing",
            psql(
                "SOURCE_URL",
                &format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name} \
                     AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                ),
            ),
        ),
        step(
            "Migrate once more, now that nothing changes, into a database that is not there yet; \
             what did not change since is not stored again",
            format!("backupctl migrate {source} --to \"$TARGET_URL\""),
        ),
    ];
    steps.extend(created.iter().map(|role| {
        step(
            "Let a created role in again",
            format!("psql \"$TARGET_URL\" -c '\\password {role}' -c {}", {
                shell(&format!("ALTER ROLE {} LOGIN", identifier(role)))
            }),
        )
    }));
    steps.extend([
        step(
            "Look at the target before anybody else does",
            psql("TARGET_URL", "SELECT count(*) AS tables FROM pg_stat_user_tables"),
        ),
        step(
            "Point the application at the target, and the backups too: the name now means another \
             database",
            format!("DATABASE_URL=\"$TARGET_URL\" backupctl backup {source} --accept-new-identity"),
        ),
        step("Prove that the new home can be restored", format!("backupctl drill {source}")),
        step(
            "To go back instead: let the source be written again",
            // This session is one that can only read.
            format!(
                "psql \"$SOURCE_URL\" -c 'SET default_transaction_read_only = off' -c {}",
                shell(&format!("ALTER DATABASE {database} RESET default_transaction_read_only"))
            ),
        ),
    ]);
    steps
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quotes for a shell.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_shell_and_the_server() {
        let from = Survey { database: "it's \"x\"".into(), ..Survey::default() };
        let steps = checklist("shop", &from, &Survey::default(), &["app".into()]);
        assert!(steps[0].command.contains(r#"ALTER DATABASE "it'\''s ""x""" SET"#), "{steps:?}");
        assert!(steps[1].command.contains(r"datname = '\''it'\'''\''s"), "{steps:?}");
        assert!(steps.iter().any(|step| step.command.contains("ALTER ROLE \"app\" LOGIN")));
        assert!(steps.iter().any(|step| step.command.contains("RESET default_transaction")));
    }
}
