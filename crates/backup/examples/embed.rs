//! A backup and a restore from inside another program.
//!
//! `BACKUP_REPOSITORY=file:///tmp/repository BACKUP_PASSPHRASE=… DATABASE_URL=postgres://…/shop
//!  RESTORE_URL=postgres://…/shop_copy cargo run --example embed`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example is a program")]

use std::process::ExitCode;

use backup::{Backup, Error, ErrorKind, Result, Secret, verify::Depth};

#[tokio::main]
async fn main() -> ExitCode {
    backup::install_tls();
    match run().await {
        Ok(receipt) => {
            println!("{receipt}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\n  hint: {}", error.remedy().unwrap_or("none"));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

async fn run() -> Result<String> {
    let repository = variable("BACKUP_REPOSITORY")?;
    let passphrase = Secret::new(variable("BACKUP_PASSPHRASE")?);
    let (source, target) = (variable("DATABASE_URL")?, variable("RESTORE_URL")?);

    let backup = Backup::open_or_create(&repository, passphrase).await?;
    let taken = backup.backup(&source).await?;
    let restored = backup.restore(&taken.record.snapshot.id.to_string(), &target).await?;
    let proof = backup.verify(Depth::Read).await?;

    Ok(format!(
        "snapshot {}: {} rows read, {} rows restored into {}, all bytes proved: {}",
        taken.record.snapshot.id.short(),
        taken.record.snapshot.evidence.rows(),
        restored.report.rows,
        restored.location,
        proof.is_clean(),
    ))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "read environment").with("variable", name).hint(
            "Set BACKUP_REPOSITORY, BACKUP_PASSPHRASE, DATABASE_URL (what to back up) and \
             RESTORE_URL (a new database).",
        )
    })
}
