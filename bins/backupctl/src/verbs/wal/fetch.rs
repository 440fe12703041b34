//! `wal fetch`: one file for a recovering server.

use std::process::{Command, Stdio};

use backup::wal::{Ahead, WalFetchRequest, fetch_ahead, remove_ahead, take_ahead, wal_fetch};
use backup_core::{Result, WalFile};

use crate::args::WalFetchArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: WalFetchArgs) -> Result<Ending> {
    let source = super::source(session, args.source.clone())?;
    let request =
        WalFetchRequest { source, system: args.system, file: args.file, path: args.path.clone() };
    if let Some(size) = args.ahead_of {
        let repository = session.repository().await?;
        fetch_ahead(repository, &request, size).await?;
        return Ok(Ending::Ok);
    }
    let ahead = !args.no_ahead && matches!(args.file, WalFile::Segment(_));
    let mut helped = true;
    if ahead {
        match take_ahead(args.file, &args.path) {
            Ahead::Taken { helped: true } => return Ok(Ending::Ok),
            Ahead::Taken { helped: false } => {
                help(session, &args);
                return Ok(Ending::Ok);
            }
            Ahead::Missing { helped: at_work } => helped = at_work,
        }
    }
    let fetch = async { wal_fetch(session.repository().await?, &request).await };
    if !session.interrupt.unless(fetch).await? {
        remove_ahead(&args.path);
        session.screen.detail(&format!("{} is not in the repository", args.file));
        return Ok(Ending::NotThere);
    }
    if ahead && !helped {
        help(session, &args);
    }
    Ok(Ending::Ok)
}

/// Starts the process that fetches ahead. Without it recovery is slower, and no less right.
fn help(session: &Session, args: &WalFetchArgs) {
    let started = std::fs::metadata(&args.path).and_then(|file| {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(config) = session.config() {
            words.extend(["--config".into(), config.into()]);
        }
        words.extend(["-q", "wal", "fetch"].map(Into::into));
        words.extend([args.file.to_string().into(), args.path.clone().into_os_string()]);
        words.extend(["--ahead-of".into(), file.len().to_string().into()]);
        if let Some(source) = &args.source {
            words.extend(["--source".into(), source.as_str().into()]);
        }
        if let Some(system) = args.system {
            words.extend(["--system".into(), system.to_string().into()]);
        }
        Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    if let Err(error) = started {
        session.screen.warn(&format!("the next segments are not fetched ahead: {error}"));
    }
}
