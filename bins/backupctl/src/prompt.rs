//! Asking a person, when there is one.

use std::io::{IsTerminal, stderr, stdin};

use backup_core::{Error, ErrorKind, Result, Secret};

use crate::session::Session;

/// Returns whether somebody can be asked.
pub(crate) fn possible() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Asks for a new passphrase, twice.
pub(crate) fn twice(what: &str) -> Result<Secret> {
    let first = hidden(&format!("{what}: "))?;
    if first.expose().is_empty() {
        return Err(Error::new(ErrorKind::Usage, "read passphrase")
            .hint("An empty passphrase protects nothing."));
    }
    if hidden("Again: ")? != first {
        return Err(Error::new(ErrorKind::Usage, "read passphrase")
            .hint("The two were not the same; nothing was changed."));
    }
    Ok(first)
}

/// Asks once, without showing what is typed.
pub(crate) fn hidden(question: &str) -> Result<Secret> {
    rpassword::prompt_password(question)
        .map(Secret::new)
        .map_err(|error| Error::new(ErrorKind::Usage, "read passphrase").because(error))
}

/// Returns a passphrase to add: from the environment, else asked for.
pub(crate) fn new_passphrase(session: &Session) -> Result<Secret> {
    if let Some(secret) = session.composer().new_passphrase()? {
        return Ok(secret);
    }
    if possible() {
        return twice("New passphrase");
    }
    Err(Error::new(ErrorKind::ConfigInvalid, "read new passphrase").hint(
        "Set BACKUP_NEW_PASSPHRASE, BACKUP_NEW_PASSPHRASE_FILE or BACKUP_NEW_PASSPHRASE_COMMAND.",
    ))
}
