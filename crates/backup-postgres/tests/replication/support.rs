//! What the tests share.

use std::process::Command;

use backup_postgres::ConnectOptions;
use backup_postgres::replication::Replication;
use backup_testkit::postgres::Cluster;

/// The oldest and the newest major here: the two forms of every command.
pub(crate) fn majors() -> Vec<u32> {
    let found: Vec<u32> = Cluster::majors().into_iter().filter(|major| *major >= 14).collect();
    match found.as_slice() {
        [] => vec![15],
        [only] => vec![*only],
        [first, .., last] => vec![*first, *last],
    }
}

pub(crate) async fn replicate(url: &str) -> Replication {
    Replication::connect(&ConnectOptions::parse(url).unwrap()).await.unwrap()
}

/// Starts a standby of `primary`.
pub(crate) fn standby(primary: &Cluster) -> Cluster {
    Cluster::builder(primary.major())
        .try_start_from(|data| {
            let mut copy: Command = primary.command("pg_basebackup");
            let status =
                copy.args(["-R", "-X", "stream", "-c", "fast", "-D"]).arg(data).status()?;
            assert!(status.success());
            Ok(())
        })
        .unwrap()
}
