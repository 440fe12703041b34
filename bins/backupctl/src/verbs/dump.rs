//! `dump`: one stream of a snapshot, as it was, to standard output.

use std::io::{ErrorKind as Io, IsTerminal, Write};

use backup_core::{Error, ErrorKind, PartName, Result, Snapshot, SnapshotKind};
use futures::StreamExt;

use crate::args::DumpArgs;
use crate::exit::Ending;
use crate::session::Session;

use super::tree;

pub(super) async fn run(session: &Session, args: &DumpArgs) -> Result<Ending> {
    if session.screen.json() {
        return Err(Error::new(ErrorKind::Usage, "dump stream")
            .hint("Bytes go to standard output as they are; leave out --json."));
    }
    if std::io::stdout().is_terminal() {
        return Err(Error::new(ErrorKind::Usage, "dump stream").hint(
            "The bytes may not be text: send them to a file or a program (`> FILE`, `| less`).",
        ));
    }
    let snapshot = session.select(&args.snapshot).await?.snapshot;
    if snapshot.kind == SnapshotKind::Files {
        let mut bytes = tree::contents(session, &snapshot, &args.part).await?;
        while let Some(piece) = session.interrupt.unless(async { Ok(bytes.next().await) }).await? {
            if session.interrupt.unless(write(piece?.to_vec())).await? == Reader::Left {
                break;
            }
        }
        return Ok(Ending::Ok);
    }
    let part = part(&snapshot, &args.part)?;
    let repository = session.repository().await?;
    let reader = session.interrupt.unless(repository.reader(&snapshot)).await?;
    let segments = session.interrupt.unless(reader.segments(&part)).await?;
    for position in 0..segments.len() {
        let mut bytes = session.interrupt.unless(reader.read(&part, position)).await?;
        while let Some(piece) = session.interrupt.unless(async { Ok(bytes.next().await) }).await? {
            if session.interrupt.unless(write(piece?.to_vec())).await? == Reader::Left {
                return Ok(Ending::Ok);
            }
        }
    }
    Ok(Ending::Ok)
}

#[derive(PartialEq, Eq)]
enum Reader {
    There,
    /// It has seen enough (`| head`), which is no failure.
    Left,
}

/// A pipe that is read slowly must not keep anyone from stopping this.
async fn write(bytes: Vec<u8>) -> Result<Reader> {
    let written = tokio::task::spawn_blocking(move || {
        let mut out = std::io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush())
    });
    match written.await.map_err(std::io::Error::other).and_then(|written| written) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == Io::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(Error::new(ErrorKind::Failed, "write to standard output").because(error)),
    }
}

fn part(snapshot: &Snapshot, wanted: &str) -> Result<PartName> {
    let names = || snapshot.parts.iter().map(|part| &part.name);
    if let Some(name) = names().find(|name| name.as_str() == wanted) {
        return Ok(name.clone());
    }
    let near: Vec<&str> =
        names().map(PartName::as_str).filter(|name| name.contains(wanted)).take(5).collect();
    let hint = if near.is_empty() {
        format!("`backupctl ls {}` lists what it holds.", snapshot.id.short())
    } else {
        format!("It holds {}.", near.join(", "))
    };
    Err(Error::new(ErrorKind::NotFound, "dump stream")
        .with("snapshot", snapshot.id.short())
        .with("part", wanted)
        .hint(hint))
}
