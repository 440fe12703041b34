//! `wal status`: how far it reaches, and where it has holes.

use backup::ops::document::WalStatusDocument;
use backup::ops::wal::{self, WalStatus};
use backup_core::{ByteSize, Result};

use crate::args::WalStatusArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &WalStatusArgs) -> Result<Ending> {
    let repository = session.repository().await?;
    let now = session.clock.now();
    let work = wal::status(repository, args.source.as_ref(), now);
    let logs = session.interrupt.unless(work).await?;
    if session.screen.json() {
        session.screen.document(&WalStatusDocument::new(&logs, now))?;
    } else {
        let text: Vec<String> = logs.iter().map(describe).collect();
        session.screen.data(&text.join("\n"));
    }
    // Contradictions are worse than holes.
    let trouble = logs.iter().filter_map(WalStatus::trouble);
    Ok(trouble.min_by_key(|kind| kind.exit_code()).map_or(Ending::Ok, Ending::Found))
}

fn describe(status: &WalStatus) -> String {
    let inventory = &status.inventory;
    let mut text = format!(
        "{} (cluster {}): {} files, {} stored\n",
        status.log.source,
        status.log.system,
        render::count(inventory.files),
        ByteSize(inventory.stored_bytes),
    );
    for (number, wal) in &inventory.timelines {
        let branch = wal.history.as_ref().and_then(|history| history.last());
        let from = branch.map_or(String::new(), |branch| {
            format!(", left timeline {} at {}", branch.timeline, branch.end)
        });
        text.push_str(&format!("  timeline {number}{from}\n"));
        for run in wal.runs(inventory.segment_size) {
            text.push_str(&format!(
                "    {} to {}, {} segments\n",
                run.start, run.end, run.segments
            ));
        }
    }
    if let (Some(newest), Some(age)) = (&status.newest, status.age) {
        text.push_str(&format!(
            "  newest segment stored {} ({} ago)",
            render::time(newest.stored_at),
            render::age(age)
        ));
        if let Some(last) = status.last_transaction {
            text.push_str(&format!(", last transaction in it {}", render::time(last.at)));
        }
        text.push('\n');
    }
    for window in &status.windows {
        text.push_str(&format!(
            "  recoverable from snapshot {}: {} ({}) to {} on timeline {}\n",
            window.snapshot.short(),
            render::time(window.from),
            window.start,
            window.end,
            window.timeline
        ));
    }
    for problem in status.contradictions.iter().chain(&status.holes) {
        text.push_str(&format!("  PROBLEM: {problem}\n"));
    }
    for note in &status.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}
