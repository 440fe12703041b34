//! The recovery sheet: what a person needs on paper when everything else is gone.

use std::fmt::Write as _;

use backup_core::{RepositoryId, Secret};
use jiff::Timestamp;

/// What goes onto the sheet.
#[derive(Clone, Debug)]
pub struct SheetFacts<'a> {
    /// The repository's address, without secrets.
    pub location: &'a str,
    /// What BACKUP_REPOSITORY must be set to, without secrets.
    pub repository_url: &'a str,
    /// The repository's id.
    pub repository: RepositoryId,
    /// First digits of the recovery key's id.
    pub key: &'a str,
    /// The recovery key itself.
    pub secret: &'a Secret,
    /// When it was made.
    pub created_at: Timestamp,
    /// The program and its version.
    pub program: &'a str,
}

/// Returns the sheet as text, secret included: print it, or write it where only its owner can
/// read it, and forget it.
#[must_use]
pub fn recovery_sheet(facts: &SheetFacts<'_>) -> Secret {
    let rule = "=".repeat(72);
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{rule}\n\
         RECOVERY SHEET\n\
         {rule}\n\
         Whoever holds this sheet can read every backup in the repository.\n\
         Print it, keep it away from the servers it protects, and delete the file.\n\
         \n\
         Repository   {location}\n\
         Id           {repository}\n\
         Key          {key}\n\
         Made         {created_at} by {program}\n\
         \n\
         Recovery key (upper or lower case, spaces and dashes do not matter):\n\
         \n    {secret}\n\
         \n\
         To recover on any machine:\n\
         \n\
         1. Install backupctl and PostgreSQL's client programs.\n\
         2. Write the recovery key (or this whole sheet) into a file that only you can read:\n\
         \n    umask 077 && cat > recovery.key      (type the key, Enter, Ctrl-D)\n\
         \n\
         3. Say where the repository is and which key opens it; an object store also wants\n\
         \x20  its own credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY):\n\
         \n    export BACKUP_REPOSITORY='{url}'\n    export BACKUP_KEY_FILE=recovery.key\n\
         \n\
         4. See what is there, prove it, and restore it into a new database:\n\
         \n    backupctl snapshots\n    backupctl verify latest --read-data\n    \
         backupctl restore latest --to postgres://USER@HOST/NEW_DATABASE\n\
         \n\
         Without backupctl: docs/format.md describes every byte, and\n\
         docs/examples/recover.py shows how to read them with standard tools.\n\
         {rule}\n",
        location = facts.location,
        repository = facts.repository,
        key = facts.key,
        created_at = facts.created_at.strftime("%Y-%m-%d %H:%M:%SZ"),
        program = facts.program,
        secret = facts.secret.expose(),
        url = facts.repository_url,
    );
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_how() {
        let secret = Secret::new("ABCD-EFGH");
        let sheet = recovery_sheet(&SheetFacts {
            location: "/srv/backups",
            repository_url: "file:///srv/backups",
            repository: RepositoryId([1; 16]),
            key: "01020304",
            secret: &secret,
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            program: "backupctl 0.1.0",
        });
        for needed in ["ABCD-EFGH", "file:///srv/backups", "01010101", "BACKUP_KEY_FILE", "restore"]
        {
            assert!(sheet.expose().contains(needed), "{needed}");
        }
        assert_eq!(format!("{sheet:?}"), "Secret(***)");
        assert!(sheet.expose().lines().all(|line| line.chars().count() <= 88));
    }
}
