//! The part of `restore` that brings back all members of one recovery set.

use std::path::{Component, Path, PathBuf};

use backup::ops::document::{RestoreDocument, RestorePlanDocument};
use backup::ops::group::{self, MemberTarget, RecoverySet, SetState};
use backup_core::{Error, ErrorKind, Result, Snapshot, SnapshotKind, SourceName};

use super::native::NativeTarget;
use super::restore;
use crate::args::RestoreArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(
    session: &Session,
    args: &RestoreArgs,
    set: &RecoverySet,
) -> Result<Ending> {
    refuse_points(args)?;
    if !args.incomplete {
        group::demand_complete(set).map_err(|error| {
            error.hint("Take another set, or pass --incomplete for what there is of this one.")
        })?;
    }
    let repository = session.repository().await?;
    let snapshots = group::whole(repository, set, &session.interrupt).await?;
    let places = places(&args.to, &snapshots)?;
    let observer = session.observer();
    let mut members = Vec::with_capacity(snapshots.len());
    for (snapshot, to) in snapshots.into_iter().zip(places) {
        restore::refuse_physical_into_database(&snapshot, &to)?;
        let options = options(session, &snapshot, args, observer.clone());
        let provider = session.place(&to, snapshot.kind)?;
        members.push(MemberTarget { snapshot, provider, options });
    }
    let mut planned = group::plan_set(&members, &session.interrupt).await?;
    drop(members);
    if args.preview {
        for plan in &mut planned {
            plan.look_closer(repository, &session.interrupt).await?;
            if session.screen.json() {
                let (snapshot, location) = (plan.snapshot(), plan.location());
                let document = RestorePlanDocument::new(snapshot, location, &plan.plan);
                session.screen.document(&document.in_set(snapshot))?;
            } else {
                let text = restore::describe(plan.snapshot(), &plan.location(), &plan.plan);
                session.screen.data(&text);
            }
        }
        return Ok(Ending::Ok);
    }
    for finding in planned.iter().flat_map(|plan| &plan.plan.findings) {
        session.screen.say(&render::finding(finding));
    }
    let mut show = |receipt: &backup::RestoreReceipt| {
        if session.screen.json() {
            let document = RestoreDocument::new(receipt).in_set(&receipt.snapshot);
            return session.screen.document(&document);
        }
        restore::show(session, receipt)
    };
    let (clock, interrupt) = (&session.clock, &session.interrupt);
    group::restore_set(planned, repository, clock, &observer, interrupt, &mut show).await?;
    if !session.screen.json() {
        let (id, name) = (set.id.short(), &set.group);
        let what = match set.state() {
            SetState::Complete => "restored",
            SetState::Suspect => "restored, and suspect",
            SetState::Incomplete => "restored as far as it is there",
        };
        session.screen.data(&format!("set {id} of {name}: {what}\n"));
    }
    Ok(Ending::Ok)
}

/// Words for databases concern databases alone, and words for files files.
fn options(
    session: &Session,
    snapshot: &Snapshot,
    args: &RestoreArgs,
    observer: std::sync::Arc<dyn backup_core::port::Observer>,
) -> backup_core::port::RestoreOptions {
    let mut options = restore::options(session, &snapshot.source, args, observer);
    if snapshot.kind == SnapshotKind::Files {
        options.tables.clear();
        options.schemas.clear();
    } else {
        options.files = <_>::default();
        options.delta = false;
    }
    options
}

fn refuse_points(args: &RestoreArgs) -> Result<()> {
    let point = args.recovery.is_named() || args.recovery.start || args.database.is_some();
    if !point {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "restore recovery set")
        .because(
            "its members belong together as they were taken: there is no point in time to name",
        )
        .hint("Restore the database's snapshot by its id for that."))
}

/// Returns where each snapshot goes, in order: `MEMBER=TARGET` for each, and no two to one place.
fn places(typed: &[String], snapshots: &[Snapshot]) -> Result<Vec<String>> {
    let names: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.source.as_str()).collect();
    let wrong = |why: String| {
        let example: Vec<String> = names.iter().map(|name| format!("--to {name}=TARGET")).collect();
        Error::new(ErrorKind::Usage, "restore recovery set")
            .because(why)
            .hint(format!("Write {}.", example.join(" ")))
    };
    let mut given: Vec<(&str, &str)> = Vec::new();
    for text in typed {
        let Some((name, target)) = text.split_once('=') else {
            return Err(wrong("a --to names no member".into()));
        };
        if !names.contains(&name) {
            // What stands there may be half of a URL.
            let shown =
                name.parse::<SourceName>().map_or("…".to_owned(), |name| name.to_string());
            return Err(wrong(format!("'{shown}' is no member of that set")));
        }
        if given.iter().any(|(known, _)| *known == name) {
            return Err(wrong(format!("'{name}' has two targets")));
        }
        if NativeTarget::parse(target).is_some() {
            return Err(wrong(format!("the target of '{name}' is at its provider")));
        }
        given.push((name, target));
    }
    let mut places: Vec<String> = Vec::with_capacity(names.len());
    for name in &names {
        let Some((_, target)) = given.iter().find(|(known, _)| known == name) else {
            return Err(wrong(format!("'{name}' has no target")));
        };
        if places.iter().any(|other| overlap(other, target)) {
            return Err(wrong(format!("the target of '{name}' is another member's, or in it")));
        }
        places.push((*target).to_owned());
    }
    Ok(places)
}

/// Whether two targets are one, or one directory or prefix lies in the other.
fn overlap(a: &str, b: &str) -> bool {
    let path = |text: &str| -> Option<PathBuf> {
        let path = match text.strip_prefix("file://") {
            Some(path) => path,
            None if text.contains("://") => return None,
            None => text,
        };
        let whole = std::path::absolute(Path::new(path)).ok()?;
        let mut plain = PathBuf::new();
        for part in whole.components() {
            match part {
                Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
            // Links are followed as far as there is something.
            if let Ok(real) = plain.canonicalize() {
                plain = real;
            }
        }
        Some(plain)
    };
    match (path(a), path(b)) {
        (Some(a), Some(b)) => a.starts_with(&b) || b.starts_with(&a),
        (None, None) => {
            let plain = |text: &str| {
                let plain = text.split(['?', '#']).next().unwrap_or_default();
                plain.trim_end_matches('/').to_owned()
            };
            let (a, b) = (plain(a), plain(b));
            // A prefix of a bucket holds all that is below it; a server's databases are apart.
            let holds = |outer: &str, inner: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
            };
            let databases = ["postgres", "mysql", "mariadb"];
            a == b
                || !databases.iter().any(|engine| a.starts_with(engine))
                    && (holds(&a, &b) || holds(&b, &a))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn two_members_never_go_to_one_place() {
        for (a, b) in [
            ("/srv/a", "/srv/a"),
            ("/srv/a", "/srv/a/b"),
            ("file:///srv/a", "/srv/x/../a/"),
            ("a", "./a"),
            ("s3://bucket/x?endpoint=y", "s3://bucket/x/"),
            ("s3://b/x/up", "s3://b/x"),
            ("s3://b", "s3://b/x/?endpoint=y"),
            ("postgres:///new", "postgres:///new"),
        ] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("real")).unwrap();
        std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
        assert!(overlap(&path("link/new"), &path("real")));
        assert!(!overlap(&path("link/new"), &path("real/other")));
        for (a, b) in [
            ("/srv/a", "/srv/ab"),
            ("postgres:///new", "new"),
            ("postgres://h/a", "postgres://h"),
            ("s3://b/x", "s3://b/y"),
            ("s3://b/x", "s3://b/xy"),
        ] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
