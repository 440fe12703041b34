//! What is said of a copy: why everything was read, or how little; and who keeps its WAL.

use backup_core::{ByteSize, Error, Finding};

use crate::ConnectOptions;
use crate::physical::changes::{Base, NoBase};
use crate::physical::facts::{ClusterFacts, Incremental};
use crate::replication::Replication;

/// Says why there is no base, where that is worth saying.
pub(super) fn noted(
    base: std::result::Result<Base, NoBase>,
    findings: &mut Vec<Finding>,
) -> Option<Base> {
    match base {
        Ok(base) => Some(base),
        Err(NoBase::Expected) => None,
        Err(NoBase::Because(reason)) => {
            findings.push(read_whole(&reason));
            None
        }
    }
}

/// Says that everything was read, and why.
pub(super) fn read_whole(reason: &str) -> Finding {
    Finding::note(format!("Everything was read: {reason}."))
}

/// Notes that only what changed was read: bytes that were read, and bytes that were not.
pub(super) fn read_by_changes(
    facts: &mut ClusterFacts,
    base: &Base,
    (read_bytes, kept_bytes): (u64, u64),
) -> Finding {
    let in_a_row = 1 + base.facts.incremental.as_ref().map_or(0, |before| before.in_a_row);
    facts.incremental =
        Some(Incremental { base: base.id.clone(), in_a_row, read_bytes, kept_bytes });
    Finding::note(format!(
        "{} were read; {} were not, because nothing changed there since snapshot {} by the \
         server's WAL summaries.",
        ByteSize(read_bytes),
        ByteSize(kept_bytes),
        base.name
    ))
}

pub(super) fn no_checksums(facts: &ClusterFacts) -> Option<Finding> {
    (!facts.checksums).then(|| {
        Finding::note(
            "The cluster has no page checksums: damage on its disk cannot be noticed. Turn them \
             on with pg_checksums --enable while the server is stopped.",
        )
    })
}

/// Keeps the server from recycling WAL while the copy runs. Without a free slot or walsender
/// the copy may still succeed: then every segment is still there at its end.
pub(super) async fn keep_wal(
    connect: &ConnectOptions,
    findings: &mut Vec<Finding>,
) -> Option<Replication> {
    let slot = async {
        let mut keeper = Replication::connect(connect).await?;
        let process = keeper.client().process_id();
        keeper.create_slot(&format!("backupctl_{process}"), true).await?;
        Ok::<_, Error>(keeper)
    };
    match slot.await {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            findings.push(Finding::note(format!(
                "No temporary replication slot could be had ({error}); the copy relied on the \
                 server to keep its WAL meanwhile."
            )));
            None
        }
    }
}
