//! What a machine has that has nothing: a recovery sheet, the store's own credentials, and
//! PostgreSQL's programs.

use std::path::Path;

use backup_config::Environment;
use backup_core::Result;

/// What an object store wants from the environment besides the sheet, what finds programs, and
/// where drills restore to.
const KEPT: [&str; 5] = ["AWS_", "AZURE_", "GOOGLE_", "PATH", "BACKUP_DRILL_URL"];

/// Returns the repository's URL that a recovery sheet says to set; nothing where it says none, as
/// a file with the key alone does.
#[must_use]
pub fn repository_on_sheet(sheet: &str) -> Option<String> {
    let line =
        sheet.lines().find_map(|line| line.trim().strip_prefix("export BACKUP_REPOSITORY="))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned()).filter(|url| !url.is_empty())
}

/// Returns the environment of a machine that has the repository's URL, a file with the recovery
/// key where one is named, and of `environment` only what a new machine would have as well.
pub fn bare_environment(
    environment: &Environment,
    repository: &str,
    key: Option<&Path>,
) -> Result<Environment> {
    let mut variables = vec![("BACKUP_REPOSITORY", repository.to_owned())];
    if let Some(key) = key {
        variables.push(("BACKUP_KEY_FILE", key.display().to_string()));
    }
    for name in environment.names() {
        if KEPT.iter().any(|kept| name.starts_with(kept))
            && let Some(value) = environment.get(name)?
        {
            variables.push((name, value.to_owned()));
        }
    }
    Ok(Environment::from_pairs(variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_says_where_the_repository_is() {
        let sheet = "RECOVERY SHEET\n    export BACKUP_REPOSITORY='s3://b/p?region=x'\n";
        assert_eq!(repository_on_sheet(sheet).as_deref(), Some("s3://b/p?region=x"));
        assert_eq!(repository_on_sheet("BKEY1-ABCD"), None);
    }

    #[test]
    fn nothing_of_this_machine_counts_but_what_a_new_one_has() {
        let here = Environment::from_pairs([
            ("AWS_ACCESS_KEY_ID", "a"),
            ("PATH", "/bin"),
            ("BACKUP_PASSPHRASE", "hunter2"),
            ("DATABASE_URL", "postgres://there"),
        ]);
        let bare = bare_environment(&here, "file:///r", Some(Path::new("/sheet"))).unwrap();
        let names: Vec<&str> = bare.names().collect();
        assert_eq!(names, ["AWS_ACCESS_KEY_ID", "BACKUP_KEY_FILE", "BACKUP_REPOSITORY", "PATH"]);
    }
}
