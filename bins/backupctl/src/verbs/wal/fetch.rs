//! `wal fetch`: one file for a recovering server.

use std::process::{Child, Command, Stdio};

use backup::repository_place;
use backup::wal::{
    Ahead, AheadHelper, Asked, Asker, WalFetchRequest, ask_ahead, remove_ahead, take_ahead,
    wal_fetch,
};
use backup_core::Result;

use crate::args::WalFetchArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: WalFetchArgs) -> Result<Ending> {
    let source = super::source(session, args.source.clone())?;
    let request =
        WalFetchRequest { source, system: args.system, file: args.file, path: args.path.clone() };
    if args.helper {
        let asker = asker(session, &request)?;
        if let Some(helper) = AheadHelper::begin(request)? {
            helper.serve(session.repository().await?, asker).await?;
        }
        return Ok(Ending::Ok);
    }
    if !args.no_ahead {
        let ahead = async { Ok(through_helper(session, &args, &request).await) };
        match session.interrupt.unless(ahead).await? {
            Asked::InPlace => return Ok(Ending::Ok),
            Asked::NotThere => return Ok(not_there(session, &args)),
            Asked::Unanswered => {}
        }
    }
    let fetch = async { wal_fetch(session.repository().await?, &request).await };
    if session.interrupt.unless(fetch).await? {
        return Ok(Ending::Ok);
    }
    remove_ahead(&args.path);
    Ok(not_there(session, &args))
}

fn not_there(session: &Session, args: &WalFetchArgs) -> Ending {
    session.screen.detail(&format!("{} is not in the repository", args.file));
    Ending::NotThere
}

/// Returns who asks a helper; fails where a person has to be asked for the passphrase.
fn asker(session: &Session, request: &WalFetchRequest) -> Result<Asker> {
    let settings = session.settings()?.repository()?;
    let secret = session.composer().key_secret(settings.key()?)?;
    let place = repository_place(settings)?;
    Ok(Asker::new(place, request.source.clone(), request.system, &secret))
}

/// Has the helper fetch the file, where it is not ready yet; starts one where there is none.
async fn through_helper(
    session: &Session,
    args: &WalFetchArgs,
    request: &WalFetchRequest,
) -> Asked {
    let helped = match take_ahead(args.file, &args.path).await {
        Ahead::Taken => return Asked::InPlace,
        Ahead::Missing { helped } => helped,
    };
    // What is wrong with the settings is said by the fetch itself.
    let Ok(asker) = asker(session, request) else { return Asked::Unanswered };
    let mut started = None;
    if !helped {
        match help(session, args) {
            Ok(child) => started = Some(child),
            Err(error) => {
                // Without it recovery is slower, and no less right.
                let text = format!("the next segments are not fetched ahead: {error}");
                session.screen.warn(&text);
                return Asked::Unanswered;
            }
        }
    }
    ask_ahead(asker, args.file, &args.path, started).await
}

/// Starts the process that fetches ahead.
fn help(session: &Session, args: &WalFetchArgs) -> std::io::Result<Child> {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if let Some(config) = session.config() {
        words.extend(["--config".into(), config.into()]);
    }
    words.extend(["-q", "wal", "fetch", "--helper"].map(Into::into));
    words.extend([args.file.to_string().into(), args.path.clone().into_os_string()]);
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
}
