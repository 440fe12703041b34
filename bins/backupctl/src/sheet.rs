//! Making a recovery sheet: a key nobody has yet, on paper.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use backup::ops::document::ReceiptDocument;
use backup::ops::sheet::{SheetFacts, recovery_sheet};
use backup::repository::{NewKey, Repository};
use backup::{KeySecret, generate_key_file};
use backup_core::{Error, ErrorKind, Result};

use crate::private;
use crate::session::Session;

/// Adds a recovery key and hands its sheet out: into `output`, or to the terminal. Where there
/// is neither, nothing is made, because a secret must not end in a log.
pub(crate) async fn make(
    session: &Session,
    repository: &Repository,
    output: Option<&Path>,
) -> Result<()> {
    let terminal = stdout().is_terminal() && !session.screen.json();
    if output.is_none() && !terminal {
        return Err(Error::new(ErrorKind::Usage, "print recovery sheet").hint(
            "Standard output is not a terminal, and the sheet holds a secret: pass \
             --output FILE, print that file, and delete it.",
        ));
    }
    if let Some(path) = output.filter(|path| path.exists()) {
        return Err(Error::new(ErrorKind::Conflict, "write recovery sheet")
            .with("file", path.display())
            .hint("Choose a file that does not exist yet."));
    }
    let secret = generate_key_file()?;
    let now = session.clock.now();
    let label = format!("recovery sheet {}", now.strftime("%Y-%m-%d"));
    let key = NewKey { secret: KeySecret::KeyFile(secret.clone()), label };
    let record = repository.add_key(key).await?;
    let text = recovery_sheet(&SheetFacts {
        location: &repository.store().location(),
        repository_url: &session.repository_url()?,
        repository: repository.id(),
        key: &record.id.short(),
        secret: &secret,
        created_at: now,
        program: concat!("backupctl ", env!("CARGO_PKG_VERSION")),
    });
    match output {
        Some(path) => {
            if let Err(error) = private::write(path, &text) {
                // The key would be one that nobody holds.
                repository.remove_key(record.id).await?;
                return Err(error);
            }
            session.screen.say(&format!(
                "wrote the recovery sheet to {}: print it, put it away, delete the file",
                path.display()
            ));
        }
        None => session.screen.data(text.expose()),
    }
    if session.screen.json() {
        let receipt = ReceiptDocument::new("key_sheet", "added a recovery key")
            .fact("key", &record.id)
            .fact("file", &output.map(|path| path.display().to_string()).unwrap_or_default());
        session.screen.document(&receipt)?;
    }
    Ok(())
}
