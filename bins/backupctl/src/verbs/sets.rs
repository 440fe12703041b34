//! Recovery sets for people.

use backup::ops::document::ShowSetDocument;
use backup::ops::group::RecoverySet;
use backup_core::Result;

use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

/// Shows one set: what `show` and `ls` say of it.
pub(super) fn show(session: &Session, set: &RecoverySet) -> Result<Ending> {
    if session.screen.json() {
        session.screen.document(&ShowSetDocument::new(set))?;
        return Ok(Ending::Ok);
    }
    let mut text = format!(
        "Set       {}\nGroup     {}\nState     {}\nStarted   {}\n\n",
        set.id,
        set.group,
        set.state().as_str(),
        render::time(set.begun_at())
    );
    let mut table = Table::new(&[
        ("MEMBER", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("KIND", Align::Left),
        ("STARTED (UTC)", Align::Left),
        ("VERIFIED", Align::Left),
        ("NOTES", Align::Left),
    ]);
    for member in &set.members {
        let name = member.source.to_string();
        table.row(match &member.record {
            Some(record) => [
                name,
                record.snapshot.id.short(),
                record.snapshot.kind.as_str().into(),
                render::time(record.snapshot.started_at),
                record.verified.level.as_str().into(),
                if record.snapshot.is_suspect() { "suspect".into() } else { String::new() },
            ],
            None => {
                let nothing = || "-".to_owned();
                [name, nothing(), nothing(), nothing(), nothing(), "missing".into()]
            }
        });
    }
    text.push_str(&table.render());
    session.screen.data(&text);
    Ok(Ending::Ok)
}

/// Returns the sets as a table; empty when there are none.
pub(super) fn table(sets: &[&RecoverySet]) -> String {
    if sets.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("SET", Align::Left),
        ("STARTED (UTC)", Align::Left),
        ("GROUP", Align::Left),
        ("STATE", Align::Left),
        ("MEMBERS", Align::Left),
    ]);
    for set in sets {
        let members = set.members.iter().map(|member| {
            let id = member.record.as_ref().map(|record| record.snapshot.id.short());
            format!("{} {}", member.source, id.unwrap_or_else(|| "missing".into()))
        });
        table.row([
            set.id.short(),
            render::time(set.begun_at()),
            set.group.to_string(),
            set.state().as_str().into(),
            members.collect::<Vec<_>>().join(", "),
        ]);
    }
    table.render()
}
