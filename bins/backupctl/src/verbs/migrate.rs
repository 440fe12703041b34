//! `migrate`: a database to another server, through the repository.

use backup::ops::document::MigrateDocument;
use backup::ops::migrate::{self, MigrateRequest, Migration};
use backup::ops::{BackupRequest, Depth, Plausibility};
use backup_core::port::RestoreOptions;
use backup_core::{ByteSize, Result, SnapshotKind};

use crate::args::MigrateArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: MigrateArgs) -> Result<Ending> {
    session.warn_about_argv("--to", &args.to);
    let names = [args.source.clone()];
    let settings = session.sources(&names)?;
    let Some(settings) = settings.first() else { return Ok(Ending::Ok) };
    let source = session.choose(settings)?;
    let target = session.target(&args.to)?;
    let observer = session.observer();
    let preferred = session.restore_preferences(&source.name);
    let request = MigrateRequest {
        backup: BackupRequest {
            source: source.name.clone(),
            kind: SnapshotKind::Logical,
            jobs: args.jobs.or(source.jobs).unwrap_or_else(::backup::default_jobs),
            max_rate: source.max_rate,
            physical: <_>::default(),
            accept_new_identity: false,
            plausibility: Plausibility::default(),
            verify: Depth::Exists,
            set: None,
        },
        restore: RestoreOptions {
            jobs: args.jobs.or(preferred.jobs).unwrap_or_else(::backup::default_jobs),
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: args.no_owner || preferred.no_owner,
            no_privileges: args.no_privileges || preferred.no_privileges,
            create_roles: args.create_roles || preferred.create_roles,
            role_map: if args.map_roles.is_empty() { preferred.role_map } else { args.map_roles },
            without_extensions: args.without_extensions,
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
            observer: observer.clone(),
        },
        allow_downgrade: args.allow_downgrade,
    };
    let (source, target) = (source.provider.as_ref(), target.as_ref());
    if args.preview {
        let planned = migrate::plan(source, target, &request, &session.interrupt).await?;
        show(session, &planned)?;
        // As the migration itself would end.
        let conflict = Ending::Found(backup_core::ErrorKind::Conflict);
        return Ok(if planned.is_possible() { Ending::Ok } else { conflict });
    }
    let repository = session.repository().await?;
    let (clock, interrupt) = (&session.clock, &session.interrupt);
    let done = Box::pin(migrate::migrate(
        repository, source, target, &request, clock, &observer, interrupt,
    ))
    .await?;
    drop(observer);
    show(session, &done)?;
    migrate::demand(&done)?;
    Ok(Ending::Ok)
}

fn show(session: &Session, migration: &Migration) -> Result<()> {
    let document = MigrateDocument::new(migration);
    if session.screen.json() {
        return session.screen.document(&document);
    }
    session.screen.data(&describe(&document));
    Ok(())
}

fn describe(document: &MigrateDocument) -> String {
    let mut text = format!(
        "{}: {} at {} ({}) to {} ({})\n\n",
        document.outcome.to_uppercase(),
        document.source,
        document.from,
        render::server(&document.source_version),
        document.to,
        render::server(&document.target_version)
    );
    let mut checks =
        Table::new(&[("LOOKED AT", Align::Left), ("FIT", Align::Left), ("FOUND", Align::Left)]);
    for check in &document.checks {
        checks.row([check.name.clone(), check.fit.clone(), check.detail.clone()]);
    }
    text.push_str(&checks.render());
    for check in &document.checks {
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("{}: {remedy}\n", check.name));
        }
    }
    if let Some(restored) = &document.restored {
        text.push_str(&format!(
            "\n{} rows in {} tables, {} in {}\n\n",
            render::count(restored.rows),
            render::count(restored.tables),
            ByteSize(restored.bytes),
            render::seconds(document.seconds)
        ));
        let mut questions = Table::new(&[
            ("COMPARED", Align::Left),
            ("ANSWER", Align::Left),
            ("FOUND", Align::Left),
        ]);
        for question in &document.questions {
            questions.row([
                question.name.clone(),
                question.outcome.clone(),
                question.detail.clone(),
            ]);
        }
        text.push_str(&questions.render());
    }
    text.push_str("\nCut-over, with SOURCE_URL and TARGET_URL set:\n");
    for (position, step) in document.checklist.iter().enumerate() {
        text.push_str(&format!("{:>3}. {}\n     {}\n", position + 1, step.purpose, step.command));
    }
    text
}
