//! `drill --disaster`: a new machine, a repository, a sheet of paper.

use std::path::Path;

use backup::config::Environment;
use backup_core::{Error, ErrorKind, Result};

use super::drill_all;
use crate::args::DrillArgs;
use crate::exit::Ending;
use crate::session::Session;

/// What an object store wants from the environment besides the sheet, what finds programs, and
/// where drills restore to.
const KEPT: [&str; 3] = ["AWS_", "PATH", "BACKUP_DRILL_URL"];

/// Drills with nothing of this machine but what a new one would have: the sheet, the store's
/// own credentials, PostgreSQL's programs.
pub(super) async fn run(session: &Session, args: &DrillArgs) -> Result<Ending> {
    let sheet = args.sheet.as_deref().unwrap_or(Path::new(""));
    let text = std::fs::read_to_string(sheet).map_err(|error| {
        Error::new(ErrorKind::Usage, "read recovery sheet")
            .with("file", sheet.display())
            .because(error)
            .hint(
                "Give the file that `backupctl key sheet --output FILE` wrote, or type the key in.",
            )
    })?;
    let url = args.repository.clone().or_else(|| repository_of(&text)).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "find repository on recovery sheet")
            .with("file", sheet.display())
            .hint("Name the repository's URL: --repository URL.")
    })?;
    let sheet = std::path::absolute(sheet)
        .map_err(|error| Error::new(ErrorKind::Usage, "find recovery sheet").because(error))?;
    let mut variables = vec![
        ("BACKUP_REPOSITORY".to_owned(), url),
        ("BACKUP_KEY_FILE".to_owned(), sheet.display().to_string()),
    ];
    variables.extend(std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        KEPT.iter().any(|kept| name.starts_with(kept)).then_some((name, value.into_string().ok()?))
    }));
    let bare = session.bare(Environment::from_pairs(variables))?;
    drill_all(&bare, args).await
}

/// Returns the URL that a sheet says to set.
fn repository_of(sheet: &str) -> Option<String> {
    let line =
        sheet.lines().find_map(|line| line.trim().strip_prefix("export BACKUP_REPOSITORY="))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned()).filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use super::repository_of;

    #[test]
    fn the_sheet_says_where_the_repository_is() {
        let sheet = "RECOVERY SHEET\n    export BACKUP_REPOSITORY='s3://b/p?region=x'\n";
        assert_eq!(repository_of(sheet).as_deref(), Some("s3://b/p?region=x"));
        assert_eq!(repository_of("BKEY1-ABCD"), None);
    }
}
