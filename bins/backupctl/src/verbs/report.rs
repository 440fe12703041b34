//! `report`: signed evidence, and checking it.

use std::path::Path;

use backup::daemon::{audit_facts, recorded_runs};
use backup::ops::document::ReceiptDocument;
use backup::ops::report::{self, Period, Request};
use backup::repository::Repository;
use backup_core::{Error, ErrorKind, Result};
use jiff::SignedDuration;

use crate::args::{ReportArgs, ReportCommand, ReportFormat};
use crate::exit::Ending;
use crate::session::Session;

const DEFAULT_PERIOD: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) async fn run(session: &Session, args: ReportArgs) -> Result<Ending> {
    if let Some(ReportCommand::Verify { file, root }) = &args.command {
        return verify(session, file, root.as_deref()).await;
    }
    let now = session.clock.now();
    let to = args.to.unwrap_or(now);
    let from = args.from.unwrap_or(to - DEFAULT_PERIOD);
    if from >= to {
        return Err(Error::new(ErrorKind::Usage, "make report")
            .with("from", from)
            .with("to", to)
            .hint("The period must begin before it ends."));
    }
    let period = Period { from, to };
    let (runs, audit) = match session.memory(args.state.as_deref()).await? {
        Some(memory) => {
            let look = async {
                let runs = recorded_runs(memory.as_ref()).await?;
                Ok((runs, audit_facts(memory.as_ref(), period).await?))
            };
            let (runs, audit) = session.interrupt.unless(look).await?;
            (Some(runs), Some(audit))
        }
        None => (None, None),
    };
    let (promised, otherwise) = session.promised()?;
    let request = Request {
        program: concat!("backupctl ", env!("CARGO_PKG_VERSION")).into(),
        promised,
        otherwise,
        sources: args.source,
        runs,
        audit,
    };
    let repository = session.repository().await?;
    let facts = session.interrupt.unless(report::gather(repository, request)).await?;
    if facts.sources.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "make report")
            .hint("There is no such source; `backupctl status` shows them."));
    }
    let made = report::assemble(&facts, period, now);
    let signed = report::sign(repository, &made)?;
    let default = if session.screen.json() { ReportFormat::Json } else { ReportFormat::Html };
    let text = match args.format.unwrap_or(default) {
        ReportFormat::Json => format!("{signed}\n"),
        ReportFormat::Html => report::page(&made, &signed),
    };
    let Some(file) = &args.output else {
        session.screen.data(&text);
        return Ok(Ending::Ok);
    };
    write_new(file, &text)?;
    let receipt = ReceiptDocument::new("report_file", "wrote a signed report")
        .fact("file", &file.display())
        .fact("root", &repository.root()?);
    tell(session, &receipt)
}

/// Checks a report against the repository's root, or against one that was typed. Without
/// either it can only say that the report is whole, and by which root.
async fn verify(session: &Session, file: &Path, typed: Option<&str>) -> Result<Ending> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(ErrorKind::NotFound, "read report").with("file", file.display()).because(error)
    })?;
    let checked = report::check(&text).map_err(|error| error.with("file", file.display()))?;
    let root = match typed {
        Some(root) => root.to_ascii_lowercase(),
        None => session.repository().await.and_then(Repository::root).map_err(|error| {
            error.with("report's root", &checked.signature.root).hint(
                "The report is whole, but whether its root is yours needs the repository, or \
                     --root with the key that an earlier `backupctl report` printed.",
            )
        })?,
    };
    if root != checked.signature.root {
        return Err(Error::new(ErrorKind::Integrity, "verify report")
            .with("report's root", &checked.signature.root)
            .with("expected", root)
            .hint("Another repository signed this report, or somebody with a root of their own."));
    }
    let period = checked.report.period;
    let receipt = ReceiptDocument::new("report_verify", "the report is signed and unchanged")
        .fact("from", &period.from)
        .fact("to", &period.to)
        .fact("made", &checked.report.generated_at)
        .fact("repository", &checked.report.repository)
        .fact("root", &checked.signature.root)
        .number("sources", checked.report.sources.len() as u64);
    tell(session, &receipt)
}

fn tell(session: &Session, receipt: &ReceiptDocument) -> Result<Ending> {
    if session.screen.json() {
        session.screen.document(receipt)?;
        return Ok(Ending::Ok);
    }
    let mut text = format!("{}\n", receipt.message);
    for (name, value) in &receipt.facts {
        text.push_str(&format!("  {name:<11} {value}\n"));
    }
    session.screen.data(&text);
    Ok(Ending::Ok)
}

fn write_new(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
            _ => ErrorKind::Failed,
        };
        Error::new(kind, "write report")
            .with("file", file.display())
            .hint("Choose a path that does not exist yet, in a folder you may write to.")
            .because(error)
    };
    let mut opened = std::fs::File::create_new(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)
}
