//! `export`: a snapshot in formats that psql and pg_restore read.

use backup::ops::document::ReceiptDocument;
use backup_core::{ByteSize, Result};

use crate::args::ExportArgs;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &ExportArgs) -> Result<Ending> {
    let record = session.select(&args.snapshot).await?;
    let repository = session.repository().await?;
    let observer = session.observer();
    let composer = session.composer();
    let options = backup::ExportOptions {
        file_per_table: args.file_per_table,
        tables: args.tables.clone(),
        schemas: args.schemas.clone(),
        observer: std::sync::Arc::clone(&observer),
    };
    let exporting =
        backup::export(repository, &record.snapshot, composer.tools(), &args.output, &options);
    let report = session.interrupt.unless(exporting).await?;
    drop((observer, options));
    if session.screen.json() {
        let mut receipt = ReceiptDocument::new("export", "exported a snapshot")
            .fact("snapshot", &record.snapshot.id)
            .fact("directory", &args.output.display())
            .number("tables", report.tables)
            .number("bytes", report.bytes);
        receipt.steps = report.files.iter().map(|path| path.display().to_string()).collect();
        session.screen.document(&receipt)?;
        return Ok(Ending::Ok);
    }
    let mut text = format!(
        "exported {} of {}: {} tables, {} of rows\n",
        record.snapshot.id.short(),
        record.snapshot.source,
        render::count(report.tables),
        ByteSize(report.bytes),
    );
    for path in &report.files {
        text.push_str(&format!("  {}\n", path.display()));
    }
    session.screen.data(&text);
    session.screen.hint(match record.snapshot.identity.engine.as_str() {
        "mysql" => "Load it without backupctl into an empty database: `mysql NEW < database.sql`.",
        _ => {
            "Load it without backupctl into an empty database: \
             `psql -v ON_ERROR_STOP=1 -d NEW -f database.sql`; globals.sql makes the roles."
        }
    });
    Ok(Ending::Ok)
}
