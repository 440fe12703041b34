//! `drill --disaster`: a new machine, a repository, a sheet of paper.

use std::path::Path;

use backup_core::{Error, ErrorKind, Result};

use super::drill_all;
use crate::args::DrillArgs;
use crate::exit::Ending;
use crate::session::Session;

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
    let url = args.repository.clone().or_else(|| backup::repository_on_sheet(&text)).ok_or_else(
        || {
            Error::new(ErrorKind::Usage, "find repository on recovery sheet")
                .with("file", sheet.display())
                .hint("Name the repository's URL: --repository URL.")
        },
    )?;
    let sheet = std::path::absolute(sheet)
        .map_err(|error| Error::new(ErrorKind::Usage, "find recovery sheet").because(error))?;
    let environment = backup::bare_environment(session.environment(), &url, Some(&sheet))?;
    let bare = session.bare(environment)?;
    drill_all(&bare, args).await
}
