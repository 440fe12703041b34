//! Receipts and their history, for people and programs.

use backup::ops::document::{DrillHistoryDocument, ReplayDocument, TrendDocument};
use backup::ops::drill::DrillReceipt;
use backup_core::{ByteSize, Result};

use crate::render::{self, Align, Table};
use crate::session::Session;

/// Shows one receipt.
pub(super) fn receipt(session: &Session, receipt: &DrillReceipt) -> Result<()> {
    if session.screen.json() {
        return session.screen.document(receipt);
    }
    session.screen.data(&describe(receipt));
    Ok(())
}

fn describe(receipt: &DrillReceipt) -> String {
    let id = receipt.snapshot.get(..8).unwrap_or_default();
    let what = if receipt.disaster { "DISASTER DRILL" } else { "DRILL" };
    let mut text = format!(
        "{what} {verdict}: {kind} {id} of {source}\n\
         data from  {from} ({rpo} old when the drill began)\n\
         restored   {restored}, {bytes}; {fetched} fetched\n\
         into       {target}{server}\n",
        verdict = receipt.verdict.to_uppercase(),
        kind = if receipt.kind == "set" { "set" } else { "snapshot" },
        source = receipt.source,
        from = render::time(receipt.data_from),
        rpo = render::age(std::time::Duration::from_secs(receipt.rpo_seconds)),
        restored = match receipt.kind.as_str() {
            "set" => format!(
                "{} rows in {} tables, {} files",
                render::count(receipt.rows),
                render::count(receipt.tables),
                render::count(receipt.files)
            ),
            "logical" => format!(
                "{} rows in {} tables",
                render::count(receipt.rows),
                render::count(receipt.tables)
            ),
            _ => format!("{} files", render::count(receipt.files)),
        },
        bytes = ByteSize(receipt.bytes),
        fetched = ByteSize(receipt.fetched_bytes),
        target = receipt.target,
        server = match receipt.kind.as_str() {
            "files" | "set" => String::new(),
            _ => format!(
                ", {} (source {})",
                render::server(&receipt.server_version),
                receipt.source_version
            ),
        },
    );
    if let Some(replay) = &receipt.replay {
        text.push_str(&brought(replay));
    }
    match receipt.rto_seconds {
        Some(rto) => text.push_str(&format!(
            "recovery   {} to the first answer; {} with all questions\n",
            render::seconds(rto),
            render::seconds(receipt.seconds)
        )),
        None => text.push_str("recovery   the database never answered\n"),
    }
    text.push_str("\ntimeline\n");
    let mut at = 0.0;
    for phase in &receipt.phases {
        text.push_str(&format!("  {at:>8.1} s  {} ({:.1} s)\n", phase.name, phase.seconds));
        at += phase.seconds;
    }
    text.push('\n');
    let mut table =
        Table::new(&[("QUESTION", Align::Left), ("ANSWER", Align::Left), ("FOUND", Align::Left)]);
    for question in &receipt.questions {
        table.row([question.name.clone(), question.outcome.clone(), question.detail.clone()]);
    }
    text.push_str(&table.render());
    for question in &receipt.questions {
        if let Some(remedy) = &question.remedy {
            text.push_str(&format!("{}: {remedy}\n", question.name));
        }
    }
    for finding in &receipt.findings {
        text.push_str(&format!("{}: {}\n", finding.kind, finding.message));
    }
    text
}

fn brought(replay: &ReplayDocument) -> String {
    let position = replay.position.as_deref().unwrap_or("-");
    let commit = match (replay.last_commit, replay.gap_seconds) {
        (Some(at), Some(gap)) => {
            format!("; last commit {at}, {} before what was asked for", render::seconds(gap))
        }
        (Some(at), None) => format!("; last commit {at}"),
        (None, _) => String::new(),
    };
    let segments = match replay.segments {
        0 => "no archived WAL".to_owned(),
        count => format!("{} WAL segments", render::count(count)),
    };
    format!("brought to {} with {segments}: position {position}{commit}\n", replay.goal)
}

/// Shows receipts, newest first, and the trend of each source.
pub(super) fn history(session: &Session, receipts: Vec<DrillReceipt>) -> Result<()> {
    let document = DrillHistoryDocument::new(receipts);
    if session.screen.json() {
        return session.screen.document(&document);
    }
    let mut table = Table::new(&[
        ("WHEN", Align::Left),
        ("SOURCE", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("VERDICT", Align::Left),
        ("RTO", Align::Right),
        ("RPO", Align::Right),
        ("BYTES", Align::Right),
    ]);
    for receipt in &document.drills {
        table.row([
            render::time(receipt.at),
            receipt.source.clone(),
            receipt.snapshot.get(..8).unwrap_or_default().to_owned(),
            receipt.verdict.clone(),
            receipt.rto_seconds.map_or_else(|| "-".into(), render::seconds),
            render::age(std::time::Duration::from_secs(receipt.rpo_seconds)),
            ByteSize(receipt.bytes).to_string(),
        ]);
    }
    let mut text = table.render();
    for trend in &document.trends {
        text.push_str(&line(trend));
    }
    session.screen.data(&text);
    Ok(())
}

fn line(trend: &TrendDocument) -> String {
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".into(), render::seconds);
    format!(
        "{}: {} of {} passed; recovery time {} now, median {} before, longest {}\n",
        trend.source,
        trend.passed,
        trend.drills,
        seconds(trend.rto_seconds),
        seconds(trend.median_rto_seconds),
        seconds(trend.longest_rto_seconds),
    )
}
