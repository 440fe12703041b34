//! `init`: a repository, its keys, its recovery sheet, and a first configuration.

use std::io::{IsTerminal, stdout};
use std::path::Path;

use backup::config::{FILE_NAME, ProviderKind, TemplateFacts, template};
use backup::ops::document::ReceiptDocument;
use backup::repository::NewKey;
use backup_core::{Error, ErrorKind, FindingKind, Result, SourceName};

use crate::args::InitArgs;
use crate::exit::Ending;
use crate::session::Session;
use crate::{private, render, sheet};

pub(super) async fn run(session: &Session, args: InitArgs) -> Result<Ending> {
    if let Some(url) = &args.url {
        session.warn_about_argv("URL", url);
    }
    if let Some(path) = args.sheet.as_deref().filter(|path| path.exists()) {
        return Err(Error::new(ErrorKind::Conflict, "write recovery sheet")
            .with("file", path.display())
            .hint("Choose a file that does not exist yet."));
    }
    let settings = session.settings()?.repository()?;
    let (secret, kind) = session.first_secret()?;
    let label = if args.label.is_empty() { kind.to_owned() } else { args.label.clone() };
    let composer = session.composer();
    let key = NewKey { secret, label };
    let creating = composer.create(settings, key, session.observer());
    let repository = session.interrupt.unless(creating).await?;
    let location = repository.store().location();
    session.screen.say(&format!("created repository {} at {location}", repository.id().short()));

    if args.sheet.is_some() || (stdout().is_terminal() && !session.screen.json()) {
        sheet::make(session, &repository, args.sheet.as_deref()).await?;
    } else {
        session.screen.hint(
            "Make a recovery sheet now: `backupctl key sheet --output FILE`. Without the \
             passphrase or the sheet nobody can read the backups, you included.",
        );
    }
    let mut receipt = ReceiptDocument::new("init", "created a repository")
        .fact("repository", &repository.id())
        .fact("location", &location)
        .fact("create_if_absent", &repository.store().capabilities().create_if_absent);
    if let Some(url) = &args.url {
        let path = describe(session, url).await?;
        receipt = receipt.fact("config", &path);
    }
    if session.screen.json() {
        session.screen.document(&receipt)?;
    } else {
        session.screen.hint("Next: `backupctl backup`.");
    }
    Ok(Ending::Ok)
}

/// Looks at the database and writes down what a configuration of it looks like.
async fn describe(session: &Session, url: &str) -> Result<String> {
    // The URL is the one of the only source, and that may have a provider with an API.
    let provider = match session.settings()?.sources.as_slice() {
        [source] => session.choose(source)?.provider,
        _ => session.target(url)?,
    };
    let discovery = session.interrupt.unless(provider.discover()).await?;
    let facts = &discovery.facts;
    session.screen.say(&format!(
        "found {} at {}: {}, about {}",
        facts.database,
        facts.location,
        facts.server_version,
        backup_core::ByteSize(facts.estimated_bytes)
    ));
    for finding in &discovery.findings {
        if finding.kind != FindingKind::Note || session.screen.verbose() > 0 {
            session.screen.say(&render::finding(finding));
        }
    }
    let path = Path::new(FILE_NAME);
    let source = session.settings()?.sources.first();
    let text = template(&TemplateFacts {
        repository: Some(session.repository_url()?),
        source: source.map_or_else(
            || SourceName::from_database(&facts.database),
            |source| source.name.clone(),
        ),
        provider: source.map_or(ProviderKind::Postgres, |source| source.provider),
        location: facts.location.clone(),
        url_variable: "DATABASE_URL".into(),
    });
    if path.exists() {
        return Err(Error::new(ErrorKind::Conflict, "write configuration")
            .with("file", path.display())
            .hint("The repository was created; move the existing file away to have a new one."));
    }
    private::write(path, &backup_core::Secret::new(text))?;
    session.screen.say("wrote backup.toml; it refers to DATABASE_URL and holds no secret");
    Ok(path.display().to_string())
}
