//! Settings that a copy needs at least as high as its original had them, or it does not recover
//! while it can be read.

use std::path::Path;
use std::process::Stdio;

use backup_core::{Error, ErrorKind, Result};
use backup_postgres::tools::Tool;
use backup_postgres::wal::needed_settings;

/// A setting that was raised: its name, what it was, what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raised {
    pub(super) name: &'static str,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// Raises, in the copy's `postgresql.auto.conf`, what its control file says is too low. They
/// only cost memory. Returns what was raised; nothing where that cannot be told.
pub(super) async fn raise(directory: &Path, program: &Tool) -> Result<Vec<Raised>> {
    let raised = lacking(directory, program).await;
    if !raised.is_empty() {
        write(directory, &raised)?;
    }
    Ok(raised)
}

/// Returns whether nothing is too low, as far as that can be told.
pub(super) async fn are_met(directory: &Path, program: &Tool) -> bool {
    lacking(directory, program).await.is_empty()
}

async fn lacking(directory: &Path, program: &Tool) -> Vec<Raised> {
    let control = std::fs::read(directory.join("global/pg_control")).unwrap_or_default();
    let mut lacking = Vec::new();
    for (name, to) in needed_settings(&control).unwrap_or_default() {
        if let Some(from) = effective(directory, program, name).await.filter(|from| *from < to) {
            lacking.push(Raised { name, from, to });
        }
    }
    lacking
}

async fn effective(directory: &Path, program: &Tool, name: &str) -> Option<u32> {
    asked(directory, program, name).await?.parse().ok()
}

/// Asks the server's program what a setting would be; nothing when it does not say.
pub(super) async fn asked(directory: &Path, program: &Tool, name: &str) -> Option<String> {
    let output = tokio::process::Command::new(&program.path)
        .arg("-D")
        .arg(directory)
        .args(["-C", name])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}

fn write(directory: &Path, raised: &[Raised]) -> Result<()> {
    let lines = raised.iter().map(|Raised { name, to, .. }| format!("{name} = '{to}'\n"));
    append(directory, &lines.collect::<String>())
}

/// Appends to the copy's `postgresql.auto.conf`: the last line of a setting wins.
pub(super) fn append(directory: &Path, more: &str) -> Result<()> {
    let path = directory.join("postgresql.auto.conf");
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Failed, "change settings of copy")
            .with("file", path.display())
            .because(error)
    };
    let mut text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(failed)?,
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(more);
    std::fs::write(&path, text).map_err(failed)
}
