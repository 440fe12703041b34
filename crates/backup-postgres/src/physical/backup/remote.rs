//! A copy over the replication protocol, with no access to the server's host.

use backup_core::port::{PartSink, SourceOptions};
use backup_core::{Error, ErrorKind, Finding, Result};

use super::archive;
use super::copied::Copied;
use super::notes::{keep_wal, no_checksums, noted, read_by_changes, read_whole};
use super::proof::{COPY, Reader, other_cluster};
use super::source::{Outcome, phase};
use crate::ConnectOptions;
use crate::physical::changes::{Base, NoBase};
use crate::physical::facts::ClusterFacts;
use crate::physical::page::PageRules;
use crate::replication::{BaseBackup, BaseBackupOptions, Replication};

/// Copies a cluster into `sink`; only what changed since the base, where there is one and the
/// server can tell.
pub(super) async fn copy(
    connect: &ConnectOptions,
    mut session: Replication,
    facts: ClusterFacts,
    options: &SourceOptions,
    base: std::result::Result<Base, NoBase>,
    sink: &dyn PartSink,
) -> Result<Outcome> {
    let mut findings = Vec::new();
    let keeper = keep_wal(connect, &mut findings).await;
    let mut base = noted(base, &mut findings);
    if let Some(chosen) = &base
        && let Err(error) = hand_over(&mut session, chosen).await
    {
        findings.push(read_whole(&error.to_string()));
        base = None;
    }
    phase(options, "checkpoint");
    let mut wanted = BaseBackupOptions::new("backupctl");
    wanted.max_rate_kib =
        options.max_rate.map(|rate| u32::try_from(rate / 1024).unwrap_or(u32::MAX));
    wanted.incremental = base.is_some();
    let copied = match session.base_backup(&wanted).await {
        Ok(backup) => Some(receive(backup, facts.clone(), options, base.as_ref(), sink).await?),
        // Whatever it lacks, it is asked for everything; a broken connection fails again.
        Err(error) if base.is_some() => {
            findings.push(read_whole(&error.to_string()));
            None
        }
        Err(error) => return Err(error),
    };
    let (facts, found) = match copied {
        Some(copied) => copied,
        None => {
            session.close().await;
            session = Replication::connect(connect).await?;
            if session.identify().await?.system != facts.system {
                return Err(other_cluster("server"));
            }
            wanted.incremental = false;
            let backup = session.base_backup(&wanted).await?;
            receive(backup, facts, options, None, sink).await?
        }
    };
    findings.extend(found);
    findings.extend(no_checksums(&facts));
    // The temporary slot ends with its session.
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    session.close().await;
    Ok(Outcome { facts, findings, local: false })
}

/// Tells the server which backup the next one is compared with.
async fn hand_over(session: &mut Replication, base: &Base) -> Result<()> {
    if session.show("summarize_wal").await? != "on" {
        return Err(
            Error::new(ErrorKind::Unsupported, "read by changes").because("summarize_wal is off")
        );
    }
    session.upload_manifest(&base.manifest().await?).await
}

/// Receives a backup to its end; returns its facts and what was found.
async fn receive(
    mut backup: BaseBackup<'_>,
    mut facts: ClusterFacts,
    options: &SourceOptions,
    base: Option<&Base>,
    sink: &dyn PartSink,
) -> Result<(ClusterFacts, Vec<Finding>)> {
    (facts.start, facts.timeline) = backup.start();
    for space in backup.tablespaces() {
        if let Some(oid) = space.oid {
            facts.tablespaces.insert(oid, space.location.clone());
        }
    }
    phase(options, "copy files");
    let size = usize::try_from(facts.block_bytes).unwrap_or(usize::MAX);
    let rules = facts.checksums.then_some(PageRules { size, start: facts.start });
    let segment = facts.relation_segment_bytes;
    let copied = Copied::new(options.observer.clone(), segment, rules, true, base.is_some());
    let mut reader = Reader::new(&facts, base)?;
    archive::read(&mut backup, &copied, &mut reader, sink).await?;
    let (stop, timeline) = backup
        .stop()
        .ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, COPY).because("it has no end"))?;
    reader.finish(stop, timeline)?;
    let received = reader.received;
    drop(backup);
    facts.stop = stop;
    let mut findings = Vec::new();
    if let Some(base) = base {
        let bytes = (received, copied.kept_bytes()?);
        findings.push(read_by_changes(&mut facts, base, bytes));
    }
    findings.extend(copied.findings()?);
    Ok((facts, findings))
}
