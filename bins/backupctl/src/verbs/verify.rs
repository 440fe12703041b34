//! `verify`: can what is stored be read back?

use std::collections::BTreeSet;

use backup::ops::document::VerifyDocument;
use backup::ops::verify::{self, Depth, Report, Request};
use backup::ops::wal::{WalVerdict, demand_wal, verify_wal};
use backup_core::{ByteSize, Error, ErrorKind, Result};

use crate::args::{ReadData, VerifyArgs};
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: VerifyArgs) -> Result<Ending> {
    let mut ids = Vec::new();
    // What there is of an incomplete set is looked at as well.
    for selector in &session.expand(&args.snapshots).await? {
        ids.push(session.select(selector).await?.snapshot.id);
    }
    let depth = match args.read_data {
        None => Depth::Exists,
        Some(ReadData(100)) => Depth::Read,
        Some(ReadData(percent)) => Depth::Sample { percent },
    };
    let observer = session.observer();
    let repository = session.repository().await?;
    // Reading clusters a second time is for those that were named.
    let contents = depth == Depth::Read && !ids.is_empty();
    let request = Request { snapshots: ids, depth };
    let work = verify::verify(repository, &request, &session.clock, &observer, &session.interrupt);
    let mut report = work.await?;
    let clusters = backup::check_clusters(repository, &mut report, contents, &*observer);
    let files = session.interrupt.unless(clusters).await?;
    let sources: BTreeSet<_> = report.snapshots.iter().map(|found| found.source.clone()).collect();
    // Beside snapshots that were named, the WAL of their sources; else all of it.
    let wanted = (!args.snapshots.is_empty()).then_some(&sources);
    let wal = verify_wal(repository, wanted, depth, &observer, &session.interrupt).await?;
    drop(observer);
    if report.snapshots.is_empty() && report.is_clean() {
        return Err(Error::new(ErrorKind::NotFound, "verify snapshots")
            .hint("The repository holds no snapshot yet; run `backupctl backup`."));
    }
    if session.screen.json() {
        let mut document = VerifyDocument::new(&report, &wal);
        document.files_compared = files;
        session.screen.document(&document)?;
    } else {
        session.screen.data(&describe(&report, files, &wal));
    }
    verify::demand(&report)?;
    demand_wal(&wal)?;
    Ok(Ending::Ok)
}

fn describe(report: &Report, files: u64, wal: &[WalVerdict]) -> String {
    let mut table =
        Table::new(&[("SNAPSHOT", Align::Left), ("SOURCE", Align::Left), ("RESULT", Align::Left)]);
    for snapshot in &report.snapshots {
        let result = match snapshot.problems.len() {
            0 => format!("proved: {}", snapshot.level.as_str()),
            1 => "DAMAGED: 1 problem".to_owned(),
            many => format!("DAMAGED: {many} problems"),
        };
        table.row([snapshot.id.short(), snapshot.source.to_string(), result]);
    }
    let mut text = table.render();
    for snapshot in &report.snapshots {
        for problem in &snapshot.problems {
            text.push_str(&format!(
                "{} of {}: {}: {}\n",
                snapshot.id.short(),
                snapshot.source,
                problem.part,
                problem.message
            ));
        }
    }
    for problem in &report.elsewhere {
        text.push_str(&format!("elsewhere: {problem}\n"));
    }
    for verdict in wal {
        for problem in &verdict.problems {
            text.push_str(&format!("{problem}\n"));
        }
        text.push_str(&format!(
            "WAL of {}: {} segments in what can be recovered, {} read\n",
            verdict.log.source,
            render::count(verdict.segments),
            render::count(verdict.read)
        ));
    }
    if files > 0 {
        let files = render::count(files);
        text.push_str(&format!("{files} files of clusters compared with their manifests\n"));
    }
    text.push_str(&format!(
        "{} packs compared, {} read, {} chunks proved, {} of {} read\n",
        render::count(report.packs_compared),
        render::count(report.packs_read),
        render::count(report.chunks_proved),
        ByteSize(report.bytes_read),
        ByteSize(report.bytes_total),
    ));
    if report.is_clean() && report.packs_read > 0 && report.packs_read < report.packs_compared {
        let share = report.damaged_at_most() * 100.0;
        text.push_str(&format!(
            "with 95% confidence, at most {share:.1}% of the packs are damaged\n"
        ));
    }
    text
}
