//! `repair index`: rebuild the index from what the packs say about themselves.

use backup::ops::document::ReceiptDocument;
use backup_core::{Error, ErrorKind, Result};

use crate::args::RepairCommand;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(session: &Session, command: &RepairCommand) -> Result<Ending> {
    match command {
        RepairCommand::Index => index(session).await,
    }
}

async fn index(session: &Session) -> Result<Ending> {
    let repository = session.repository().await?;
    let observer = session.observer();
    let report = session.interrupt.unless(repository.repair_index(observer)).await?;
    let recovered = report.recovered.len() as u64;
    let (lost, damaged) = (report.lost.len() as u64, report.damaged.len() as u64);
    if session.screen.json() {
        let mut receipt = ReceiptDocument::new("repair_index", "wrote a new index")
            .number("kept_packs", report.kept)
            .number("recovered_packs", recovered)
            .number("lost_packs", lost)
            .number("damaged_packs", damaged)
            .number("unreadable_indexes", report.unreadable_indexes.len() as u64);
        receipt.steps.extend(report.lost.iter().map(|pack| format!("lost: pack {pack}")));
        receipt.steps.extend(
            report.damaged.iter().map(|(pack, why)| format!("damaged: pack {pack}: {why}")),
        );
        session.screen.document(&receipt)?;
    } else {
        let mut text = format!(
            "wrote a new index: {} packs known before, {} recovered from their own footers, \
             {} unreadable indexes removed\n",
            render::count(report.kept),
            render::count(recovered),
            report.unreadable_indexes.len(),
        );
        for pack in &report.lost {
            text.push_str(&format!("lost: pack {pack} is gone from the store\n"));
        }
        for (pack, why) in &report.damaged {
            text.push_str(&format!("damaged: pack {pack}: {why}\n"));
        }
        session.screen.data(&text);
    }
    if lost + damaged == 0 {
        return Ok(Ending::Ok);
    }
    Err(Error::new(ErrorKind::Integrity, "repair index")
        .with("lost packs", lost)
        .with("damaged packs", damaged)
        .hint(
            "The new index is in place. Take a backup now, which stores again what is missing, \
             then run `backupctl verify --all` to see what stays damaged.",
        ))
}
