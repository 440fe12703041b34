//! A copy that is started beside its original does not do the original's work.

use std::path::Path;

use backup_core::{Finding, Result};
use backup_postgres::tools::Tool;

use super::needs::{append, asked};

const FILE: &str = "postgresql.auto.conf";
/// Applies subscriptions of logical replication: a copy would take changes that are the
/// original's, out of the same slot.
const WORKERS: &str = "max_logical_replication_workers";
const LIBRARIES: &str = "shared_preload_libraries";
/// Libraries that run jobs by themselves.
const JOBS: [&str; 1] = ["pg_cron"];

/// Writes into the copy's settings what keeps it from acting by itself, and says how to undo it.
pub(super) async fn keep(directory: &Path, program: &Tool) -> Result<Vec<Finding>> {
    let libraries = asked(directory, program, LIBRARIES).await.unwrap_or_default();
    let lines = lines(&libraries);
    let mut text = String::from(
        "# By restore --start: a copy beside its original applies no subscriptions and runs no \
         jobs.\n# Remove these lines and restart it when it takes the original's place.\n",
    );
    for (line, _) in &lines {
        text.push_str(line);
        text.push('\n');
    }
    append(directory, &text)?;
    let file = directory.join(FILE);
    Ok(lines
        .into_iter()
        .map(|(line, what)| {
            Finding::note(format!(
                "{what}. When the copy takes its original's place, remove the line `{line}` from \
                 {} and restart it.",
                file.display()
            ))
        })
        .collect())
}

/// Returns each line, and what it does.
fn lines(libraries: &str) -> Vec<(String, String)> {
    let mut lines = vec![(
        format!("{WORKERS} = '0'"),
        "The copy applies no subscriptions of logical replication".to_owned(),
    )];
    let named: Vec<&str> =
        libraries.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let (jobs, others): (Vec<&str>, Vec<&str>) = named.iter().partition(|name| runs_jobs(name));
    if !jobs.is_empty() {
        lines.push((
            format!("{LIBRARIES} = '{}'", others.join(", ").replace('\'', "''")),
            format!("The copy runs no jobs of {}", jobs.join(", ")),
        ));
    }
    lines
}

/// A library may be named by its path, with its ending, and in quotes.
fn runs_jobs(name: &str) -> bool {
    let name = name.trim_matches('"');
    let name = name.rsplit('/').next().unwrap_or(name);
    JOBS.contains(&name.strip_suffix(".so").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_by_itself_is_left_out_and_nothing_else() {
        let set = |libraries: &str| {
            let lines = lines(libraries).into_iter().map(|(line, _)| line);
            lines.collect::<Vec<_>>()
        };
        let workers = "max_logical_replication_workers = '0'";
        assert_eq!(set(""), [workers]);
        assert_eq!(set("auto_explain, pg_stat_statements"), [workers]);
        let left = |others: &str| vec![workers.to_owned(), format!("{LIBRARIES} = '{others}'")];
        assert_eq!(set("pg_cron"), left(""));
        assert_eq!(set("a, pg_cron,\"it's\""), left("a, \"it''s\""));
        assert_eq!(set("\"$libdir/pg_cron\", /lib/pg_cron.so"), left(""));
        assert_eq!(set("pg_cronicle"), [workers]);
    }
}
