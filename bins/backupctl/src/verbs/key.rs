//! `key`: who can open the repository.

use std::path::Path;

use backup::ops::document::{KeyDocument, KeysDocument, ReceiptDocument};
use backup::ops::key;
use backup::repository::NewKey;
use backup::{KeyKind, KeyRecord, KeySecret, Role};
use backup_core::{Error, ErrorKind, KeyId, Result, Secret};

use crate::args::KeyCommand;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;
use crate::{private, prompt, sheet};

pub(super) async fn run(session: &Session, command: KeyCommand) -> Result<Ending> {
    match command {
        KeyCommand::List => list(session).await,
        KeyCommand::Add { label, key_file, write_only } => {
            add(session, &label, key_file.as_deref(), write_only).await
        }
        KeyCommand::Remove { key } => remove(session, &key).await,
        KeyCommand::Rotate { data: true, .. } => rotate_data(session).await,
        KeyCommand::Rotate { key, label, .. } => rotate(session, key.as_deref(), &label).await,
        KeyCommand::Sheet { output } => {
            sheet::make(session, session.repository().await?, output.as_deref()).await?;
            Ok(Ending::Ok)
        }
    }
}

async fn list(session: &Session) -> Result<Ending> {
    let repository = session.repository().await?;
    let mut records = repository.keys().await?;
    records.sort_by_key(|record| (record.created_at, record.id));
    if session.screen.json() {
        session.screen.document(&KeysDocument {
            schema: "backupctl.keys.v1".into(),
            repository: repository.id().to_string(),
            keys: records.iter().map(document).collect(),
        })?;
        return Ok(Ending::Ok);
    }
    let mut table = Table::new(&[
        ("ID", Align::Left),
        ("KIND", Align::Left),
        ("MAY", Align::Left),
        ("ADDED (UTC)", Align::Left),
        ("LABEL", Align::Left),
    ]);
    for record in &records {
        table.row([
            record.id.short(),
            record.kind.as_str().into(),
            may(record).into(),
            render::time(record.created_at),
            record.label.clone(),
        ]);
    }
    session.screen.data(&table.render());
    Ok(Ending::Ok)
}

fn may(record: &KeyRecord) -> &'static str {
    match record.role {
        Role::Owner => "everything",
        Role::Writer => "write",
    }
}

fn document(record: &KeyRecord) -> KeyDocument {
    KeyDocument {
        id: record.id.to_string(),
        kind: record.kind.as_str().into(),
        may: may(record).into(),
        label: record.label.clone(),
        created_at: record.created_at,
    }
}

async fn add(
    session: &Session,
    label: &str,
    key_file: Option<&Path>,
    write_only: bool,
) -> Result<Ending> {
    let repository = session.repository().await?;
    let (secret, kind) = match key_file {
        Some(path) => {
            // The file is there before the key is: a key nobody holds would be worth nothing.
            let secret = backup::generate_key_file()?;
            private::write(path, &with_newline(&secret))?;
            (KeySecret::KeyFile(secret), "key file")
        }
        None => (KeySecret::Passphrase(prompt::new_passphrase(session)?), "passphrase"),
    };
    let label = if label.is_empty() { kind } else { label };
    let key = NewKey { secret, label: label.into() };
    let added =
        if write_only { repository.add_writer(key).await } else { repository.add_key(key).await };
    let record = match (added, key_file) {
        (Ok(record), _) => record,
        (Err(error), Some(path)) => {
            // It opens nothing; leaving it would be misleading.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    receipt(session, "key_add", &format!("added key {}", record.id.short()), Some(record.id))
}

fn with_newline(secret: &Secret) -> Secret {
    Secret::new(format!("{}\n", secret.expose()))
}

async fn remove(session: &Session, prefix: &str) -> Result<Ending> {
    let repository = session.repository().await?;
    let id = key::find(repository, prefix).await?;
    repository.remove_key(id).await?;
    receipt(session, "key_remove", &format!("removed key {}", id.short()), Some(id))?;
    session.screen.hint(
        "Whoever knew it and copied the repository can still read what is stored by now; \
         `backupctl key rotate --data` seals what comes next to new keys.",
    );
    Ok(Ending::Ok)
}

async fn rotate(session: &Session, prefix: Option<&str>, label: &str) -> Result<Ending> {
    let repository = session.repository().await?;
    let old = match prefix {
        Some(prefix) => key::find(repository, prefix).await?,
        None => only_passphrase(&repository.keys().await?)?,
    };
    let secret = KeySecret::Passphrase(prompt::new_passphrase(session)?);
    let label = if label.is_empty() { "passphrase" } else { label };
    let record = repository.rotate_key(old, NewKey { secret, label: label.into() }).await?;
    let message = format!("replaced key {} by {}", old.short(), record.id.short());
    receipt(session, "key_rotate", &message, Some(record.id))
}

fn only_passphrase(records: &[KeyRecord]) -> Result<KeyId> {
    let mut passphrases = records.iter().filter(|record| record.kind == KeyKind::Passphrase);
    match (passphrases.next(), passphrases.next()) {
        (Some(record), None) => Ok(record.id),
        _ => Err(Error::new(ErrorKind::Usage, "choose key to rotate")
            .hint("Name the key: `backupctl key rotate KEY`; `backupctl key list` shows them.")),
    }
}

async fn rotate_data(session: &Session) -> Result<Ending> {
    let epoch = session.repository().await?.rotate_data().await?;
    let message = format!("epoch {epoch} began: what is written from now on has new keys");
    receipt(session, "key_rotate", &message, None)
}

fn receipt(session: &Session, verb: &str, message: &str, key: Option<KeyId>) -> Result<Ending> {
    if session.screen.json() {
        let mut receipt = ReceiptDocument::new(verb, message);
        if let Some(key) = key {
            receipt = receipt.fact("key", &key);
        }
        session.screen.document(&receipt)?;
    } else {
        session.screen.say(message);
    }
    Ok(Ending::Ok)
}
