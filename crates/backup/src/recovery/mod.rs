//! Restored clusters: what they fetch WAL with, and bringing them up.

mod last_record;
mod log;
mod needs;
mod quiet;
mod server;
mod settings;
mod start;
mod transaction;

use std::path::Path;

use backup_config::Environment;
use backup_core::{Error, ErrorKind, Result};
use backup_ops::wal::WalLog;

pub use last_record::demand_record;
pub use settings::settings;
pub use start::{Reached, ReachedState, start};
pub use transaction::{TransactionEnd, find_transaction};

/// Variables that say where the repository is and which file opens it; none is a secret itself.
const CARRIED: [&str; 11] = [
    "BACKUP_CONFIG",
    "BACKUP_REPOSITORY",
    "BACKUP_DIR",
    "BACKUP_PASSPHRASE_FILE",
    "BACKUP_KEY_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AZURE_STORAGE_ACCOUNT",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Returns the `restore_command` of a copy: this program, with what it needs to find the
/// repository again. Secrets are not part of it: the server's environment has to hold them.
pub fn restore_command(
    environment: &Environment,
    config: Option<&Path>,
    log: &WalLog,
) -> Result<String> {
    let failed = |error| Error::new(ErrorKind::Failed, "find own program").because(error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut words = Vec::new();
    for name in CARRIED {
        if let Some(value) = environment.get(name)? {
            words.push(format!("{name}={}", quoted(&absolute(name, value))));
        }
    }
    words.push(quoted(&program.display().to_string()));
    if let Some(config) = config {
        let config = std::path::absolute(config).map_err(failed)?;
        words.push(format!("--config {}", quoted(&config.display().to_string())));
    }
    words.push(format!(
        "wal fetch %f %p --source {} --system {}",
        quoted(log.source.as_str()),
        log.system
    ));
    Ok(words.join(" "))
}

/// The server runs it in its data directory.
fn absolute(name: &str, value: &str) -> String {
    let path = matches!(
        name,
        "BACKUP_CONFIG" | "BACKUP_DIR" | "BACKUP_PASSPHRASE_FILE" | "BACKUP_KEY_FILE"
    );
    match std::path::absolute(value) {
        Ok(absolute) if path => absolute.display().to_string(),
        _ => value.to_owned(),
    }
}

/// Quotes for the shell, and for PostgreSQL, which replaces what follows a percent sign.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_command_carries_no_secret_and_survives_two_quotings() {
        let environment = Environment::from_pairs([
            ("BACKUP_REPOSITORY", "file:///srv/it's 100%"),
            ("BACKUP_PASSPHRASE", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter3"),
            ("BACKUP_KEY_FILE", "keys/a"),
        ]);
        let log = WalLog { source: "shop".parse().unwrap(), system: 42 };
        let command = restore_command(&environment, None, &log).unwrap();
        assert!(!command.contains("hunter"), "{command}");
        assert!(command.contains("BACKUP_REPOSITORY='file:///srv/it'\\''s 100%%'"), "{command}");
        assert!(command.contains("/keys/a'"), "{command}");
        assert!(command.ends_with("wal fetch %f %p --source 'shop' --system 42"), "{command}");
    }
}
