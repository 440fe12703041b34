//! `pin` and `unpin`.

use backup::ops::document::ReceiptDocument;
use backup_core::Result;

use crate::args::PinArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &PinArgs, pin: bool) -> Result<Ending> {
    if args.native {
        return super::native::pin(session, args, pin).await;
    }
    let records = session.records().await?;
    // All of them are found before the first is touched.
    let selectors = session.expand(&args.snapshots).await?;
    let chosen = selectors
        .iter()
        .map(|selector| backup::ops::select(&records, selector))
        .collect::<Result<Vec<_>>>()?;
    let repository = session.repository().await?;
    let (verb, done) = if pin { ("pin", "pinned") } else { ("unpin", "unpinned") };
    let mut receipt = ReceiptDocument::new(verb, format!("{} {done}", chosen.len()))
        .number("snapshots", chosen.len() as u64);
    for record in chosen {
        let id = record.snapshot.id;
        if pin {
            repository.pin(id).await?;
        } else {
            repository.unpin(id).await?;
        }
        receipt.steps.push(id.to_string());
        if !session.screen.json() {
            session.screen.say(&format!("{done} {} of {}", id.short(), record.snapshot.source));
        }
    }
    if session.screen.json() {
        session.screen.document(&receipt)?;
    }
    Ok(Ending::Ok)
}
